package main

import (
	"time"

	"github.com/hibiken/asynq"
)

type schedulerSettings struct {
	Entries []struct {
		Spec string   `json:"spec"`
		Task taskSpec `json:"task"`
	} `json:"entries"`
}

func schedule(connection asynq.RedisConnOpt, settings string) error {
	s, err := parse[schedulerSettings](settings)
	if err != nil {
		return err
	}
	scheduler := asynq.NewScheduler(connection, &asynq.SchedulerOpts{
		HeartbeatInterval: time.Second, LogLevel: asynq.WarnLevel,
	})
	for _, e := range s.Entries {
		if _, err := scheduler.Register(e.Spec, e.Task.task(), e.Task.options()...); err != nil {
			return err
		}
	}
	if err := scheduler.Start(); err != nil {
		return err
	}
	wait()
	scheduler.Shutdown()
	return nil
}
