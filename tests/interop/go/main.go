// Peer is the Go side of the interoperability tests: small programs around the real asynq library.
//
//	peer client URL            answers JSON requests, one per line, on stdin and stdout (see client.go)
//	peer serve URL SETTINGS    runs tasks until SIGTERM (see serve.go)
//	peer schedule URL SETTINGS enqueues periodic tasks until SIGTERM (see schedule.go)
//	peer cli URL WORDS...      does what a command of the asynq tool does (see cli.go)
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/hibiken/asynq"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: peer client|serve|schedule|cli URL [SETTINGS]")
	}
	redis, err := asynq.ParseRedisURI(args[1])
	if err != nil {
		return err
	}
	if args[0] == "cli" {
		return cli(redis.(asynq.RedisClientOpt), args[2:])
	}
	settings := "{}"
	if len(args) > 2 {
		settings = args[2]
	}
	switch args[0] {
	case "client":
		return answer(redis, os.Stdin, os.Stdout)
	case "serve":
		return serve(redis, settings)
	case "schedule":
		return schedule(redis, settings)
	}
	return fmt.Errorf("no such command: %s", args[0])
}

// taskSpec is a task with the options of hustlex.jobs.Options. What is absent is not set.
type taskSpec struct {
	Type        string            `json:"type"`
	Payload     *[]byte           `json:"payload"` // base64; null is Go's nil
	Headers     map[string]string `json:"headers"`
	Queue       *string           `json:"queue"`
	TaskID      *string           `json:"task_id"`
	MaxRetry    *int              `json:"max_retry"`
	TimeoutMs   *int64            `json:"timeout_ms"`
	DeadlineMs  *int64            `json:"deadline_ms"`
	UniqueMs    *int64            `json:"unique_for_ms"`
	ProcessInMs *int64            `json:"process_in_ms"`
	ProcessAtMs *int64            `json:"process_at_ms"`
	RetentionMs *int64            `json:"retention_ms"`
	Group       *string           `json:"group"`
}

func (s taskSpec) task() *asynq.Task {
	var payload []byte
	if s.Payload != nil {
		payload = *s.Payload
	}
	if s.Headers != nil {
		return asynq.NewTaskWithHeaders(s.Type, payload, s.Headers)
	}
	return asynq.NewTask(s.Type, payload)
}

func (s taskSpec) options() []asynq.Option {
	var options []asynq.Option
	text := func(value *string, make func(string) asynq.Option) {
		if value != nil {
			options = append(options, make(*value))
		}
	}
	duration := func(ms *int64, make func(time.Duration) asynq.Option) {
		if ms != nil {
			options = append(options, make(time.Duration(*ms)*time.Millisecond))
		}
	}
	moment := func(ms *int64, make func(time.Time) asynq.Option) {
		if ms != nil {
			options = append(options, make(time.UnixMilli(*ms).UTC()))
		}
	}
	text(s.Queue, asynq.Queue)
	text(s.TaskID, asynq.TaskID)
	text(s.Group, asynq.Group)
	if s.MaxRetry != nil {
		options = append(options, asynq.MaxRetry(*s.MaxRetry))
	}
	duration(s.TimeoutMs, asynq.Timeout)
	duration(s.UniqueMs, asynq.Unique)
	duration(s.ProcessInMs, asynq.ProcessIn)
	duration(s.RetentionMs, asynq.Retention)
	moment(s.DeadlineMs, asynq.Deadline)
	moment(s.ProcessAtMs, asynq.ProcessAt)
	return options
}

func parse[T any](text string) (T, error) {
	var value T
	err := json.Unmarshal([]byte(text), &value)
	return value, err
}
