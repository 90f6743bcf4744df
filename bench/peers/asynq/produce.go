package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

func send(client *asynq.Client, number int, sentNs int64) {
	payload, err := json.Marshal(job{number, sentNs})
	if err != nil {
		panic(err)
	}
	if _, err := client.Enqueue(asynq.NewTask(taskType, payload), asynq.Queue(queue)); err != nil {
		panic(err)
	}
}

// enqueue sends this many jobs, numbered from first, one after another or from several goroutines.
func enqueue(redis asynq.RedisConnOpt, first, count, callers int) error {
	client := asynq.NewClient(redis)
	defer client.Close()
	began := time.Now()
	var group sync.WaitGroup
	for caller := range callers {
		group.Add(1)
		go func() {
			defer group.Done()
			for number := caller; number < count; number += callers {
				send(client, first+number, 0)
			}
		}()
	}
	group.Wait()
	rate := float64(count) / time.Since(began).Seconds()
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{"per_s": rate})
}

// pace pauses half to one and a half gaps between jobs, so that no pattern of the worker's is met every time.
func pace(redis asynq.RedisConnOpt, count, gapMs int) error {
	client := asynq.NewClient(redis)
	defer client.Close()
	for number := range count {
		time.Sleep(time.Duration((0.5 + rand.Float64()) * float64(gapMs) * float64(time.Millisecond)))
		send(client, number, time.Now().UnixNano())
	}
	return nil
}
