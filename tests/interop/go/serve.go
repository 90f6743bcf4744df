package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// serverSettings configure a server; tests/interop/worker.py understands the same ones.
type serverSettings struct {
	Queues       map[string]int `json:"queues"`
	Concurrency  int            `json:"concurrency"`
	Strict       bool           `json:"strict"`
	RetryDelayMs *int64         `json:"retry_delay_ms"` // absent: the library's default
	ShutdownMs   int64          `json:"shutdown_ms"`
	Group        *groupSettings `json:"group"` // absent: no aggregation
}

type groupSettings struct {
	GraceMs int64 `json:"grace_ms"`
	DelayMs int64 `json:"delay_ms"`
	Size    int   `json:"size"`
}

// execution is what a server notes of each task it runs, in the Redis list peer:runs.
type execution struct {
	By      string            `json:"by"`
	ID      string            `json:"id"`
	Type    string            `json:"type"`
	Queue   string            `json:"queue"`
	Payload []byte            `json:"payload"`
	Retried int               `json:"retried"`
	Headers map[string]string `json:"headers"`
	PID     int               `json:"pid"`
}

var errSoft = errors.New("not a failure")

type handlers struct {
	notes redis.UniversalClient
}

func serve(connection asynq.RedisConnOpt, settings string) error {
	s, err := parse[serverSettings](settings)
	if err != nil {
		return err
	}
	notes := connection.MakeRedisClient().(redis.UniversalClient)
	config := asynq.Config{
		Concurrency:              s.Concurrency,
		Queues:                   s.Queues,
		StrictPriority:           s.Strict,
		ShutdownTimeout:          time.Duration(s.ShutdownMs) * time.Millisecond,
		TaskCheckInterval:        40 * time.Millisecond,
		DelayedTaskCheckInterval: 100 * time.Millisecond,
		JanitorInterval:          200 * time.Millisecond,
		IsFailure:                func(err error) bool { return !errors.Is(err, errSoft) },
		LogLevel:                 asynq.WarnLevel,
	}
	if s.RetryDelayMs != nil {
		config.RetryDelayFunc = func(int, error, *asynq.Task) time.Duration {
			return time.Duration(*s.RetryDelayMs) * time.Millisecond
		}
	}
	if s.Group != nil {
		config.GroupAggregator = asynq.GroupAggregatorFunc(join)
		config.GroupGracePeriod = time.Duration(s.Group.GraceMs) * time.Millisecond
		config.GroupMaxDelay = time.Duration(s.Group.DelayMs) * time.Millisecond
		config.GroupMaxSize = s.Group.Size
	}
	server := asynq.NewServer(connection, config)
	if err := server.Start(handlers{notes}.mux()); err != nil {
		return err
	}
	wait()
	server.Shutdown()
	return nil
}

func wait() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
}

// join makes one task of a group: its payload is the payloads in order, as JSON strings.
func join(group string, tasks []*asynq.Task) *asynq.Task {
	texts := []string{}
	for _, t := range tasks {
		texts = append(texts, string(t.Payload()))
	}
	payload, _ := json.Marshal(texts)
	return asynq.NewTask("ok:joined:"+group, payload)
}

// mux routes by the prefix of the type. Every handler notes the execution first.
func (h handlers) mux() *asynq.ServeMux {
	mux := asynq.NewServeMux()
	behaviours := map[string]func(context.Context, *asynq.Task) error{
		"ok:":     func(context.Context, *asynq.Task) error { return nil },
		"fail:":   func(context.Context, *asynq.Task) error { return errors.New("failed as told") },
		"once:":   failOnce,
		"skip:":   func(context.Context, *asynq.Task) error { return fmt.Errorf("no use: %w", asynq.SkipRetry) },
		"revoke:": func(context.Context, *asynq.Task) error { return fmt.Errorf("not wanted: %w", asynq.RevokeTask) },
		"soft:":   func(context.Context, *asynq.Task) error { return errSoft },
		"panic:":  func(context.Context, *asynq.Task) error { panic("all is lost") },
		"slow:":   slow,
		"deaf:":   deaf,
		"result:": writeResult,
	}
	for prefix, behave := range behaviours {
		mux.HandleFunc(prefix, func(ctx context.Context, t *asynq.Task) error {
			if err := h.note(ctx, t); err != nil {
				return err
			}
			return behave(ctx, t)
		})
	}
	return mux
}

func (h handlers) note(ctx context.Context, t *asynq.Task) error {
	id, _ := asynq.GetTaskID(ctx)
	queue, _ := asynq.GetQueueName(ctx)
	retried, _ := asynq.GetRetryCount(ctx)
	text, err := json.Marshal(execution{"go", id, t.Type(), queue, t.Payload(), retried, t.Headers(), os.Getpid()})
	if err != nil {
		return err
	}
	return h.notes.RPush(ctx, "peer:runs", text).Err()
}

func failOnce(ctx context.Context, t *asynq.Task) error {
	if retried, _ := asynq.GetRetryCount(ctx); retried == 0 {
		return errors.New("failed as told")
	}
	return nil
}

// milliseconds reads the payload: how long the task is to take. A second line is allowed to tell tasks apart.
func milliseconds(t *asynq.Task) time.Duration {
	n, _ := strconv.Atoi(strings.SplitN(string(t.Payload()), "\n", 2)[0])
	return time.Duration(n) * time.Millisecond
}

func slow(ctx context.Context, t *asynq.Task) error {
	select {
	case <-time.After(milliseconds(t)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deaf takes its time whatever its context says.
func deaf(_ context.Context, t *asynq.Task) error {
	time.Sleep(milliseconds(t))
	return nil
}

func writeResult(_ context.Context, t *asynq.Task) error {
	_, err := t.ResultWriter().Write([]byte(`{"done":true}`))
	return err
}
