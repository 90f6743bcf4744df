package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// cli makes the calls that a command of the asynq tool makes, and prints what that command prints, as JSON:
//
//	peer cli URL queue inspect default
//	peer cli URL task ls --queue=default --state=retry --page=1 --size=30
//
// The tool's commands stats, server ls, queue rm and task cancel ask the library's internal rdb package; the Inspector's
// methods called here are one line around the same functions.
func cli(connection asynq.RedisClientOpt, args []string) error {
	inspector, client := asynq.NewInspector(connection), asynq.NewClient(connection)
	var answer any
	var err error
	switch words := strings.Join(args[:min(2, len(args))], " "); {
	case args[0] == "stats":
		answer, err = stats(inspector, connection)
	case words == "task enqueue":
		answer, err = enqueue(client, args[2:])
	default:
		answer, err = command(inspector, words, args[2:])
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

// operations names the request of inspect.go behind each command.
var operations = map[string]string{
	"queue ls": "queues", "queue inspect": "queue", "queue history": "history",
	"queue pause": "pause", "queue resume": "unpause", "queue rm": "delete queue",
	"task ls": "tasks", "task inspect": "task", "task cancel": "cancel",
	"task archive": "archive", "task delete": "delete", "task run": "run",
	"task archiveall": "archive all", "task deleteall": "delete all", "task runall": "run all",
	"group ls": "groups", "server ls": "servers", "cron ls": "entries", "cron history": "events",
}

// command answers with one result, or one for each queue, task or entry that is named.
func command(i *asynq.Inspector, words string, args []string) (any, error) {
	r := request{Op: operations[words]}
	flags := flag.NewFlagSet(words, flag.ContinueOnError)
	flags.StringVar(&r.Queue, "queue", "", "")
	flags.StringVar(&r.ID, "id", "", "")
	flags.StringVar(&r.State, "state", "", "")
	flags.StringVar(&r.Group, "group", "", "")
	flags.IntVar(&r.Page, "page", 1, "")
	flags.IntVar(&r.Size, "size", 30, "")
	flags.IntVar(&r.Days, "days", 10, "")
	flags.BoolVar(&r.Force, "force", false, "")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() == 0 {
		return inspect(i, r)
	}
	results := map[string]any{}
	for _, name := range flags.Args() {
		if strings.HasPrefix(words, "queue ") {
			r.Queue = name
		} else {
			r.ID = name
		}
		result, err := inspect(i, r)
		if err != nil {
			return nil, err
		}
		results[name] = result
	}
	return results, nil
}

// overview is what `asynq stats` shows: sums over all queues, sizes by queue, and five facts of the server.
type overview struct {
	Active, Pending, Aggregating, Scheduled, Retry, Archived, Completed int
	Processed, Failed                                                   int
	Sizes                                                               map[string]int
	Paused                                                              []string
	Redis                                                               map[string]string
}

func stats(i *asynq.Inspector, connection asynq.RedisClientOpt) (any, error) {
	queues, err := i.Queues()
	if err != nil {
		return nil, err
	}
	sum := overview{Sizes: map[string]int{}, Paused: []string{}, Redis: map[string]string{}}
	for _, name := range queues {
		q, err := i.GetQueueInfo(name)
		if err != nil {
			return nil, err
		}
		sum.Active, sum.Pending, sum.Aggregating = sum.Active+q.Active, sum.Pending+q.Pending, sum.Aggregating+q.Aggregating
		sum.Scheduled, sum.Retry, sum.Archived = sum.Scheduled+q.Scheduled, sum.Retry+q.Retry, sum.Archived+q.Archived
		sum.Completed, sum.Processed, sum.Failed = sum.Completed+q.Completed, sum.Processed+q.Processed, sum.Failed+q.Failed
		sum.Sizes[name] = q.Size
		if q.Paused {
			sum.Paused = append(sum.Paused, name)
		}
	}
	return sum, serverFacts(connection, sum.Redis)
}

func serverFacts(connection asynq.RedisClientOpt, facts map[string]string) error {
	text, err := connection.MakeRedisClient().(redis.UniversalClient).Info(context.Background()).Result()
	for _, line := range strings.Split(text, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "redis_version", "uptime_in_days", "connected_clients", "used_memory_human", "used_memory_peak_human":
			facts[name] = value
		}
	}
	return err
}

func enqueue(client *asynq.Client, args []string) (any, error) {
	flags := flag.NewFlagSet("task enqueue", flag.ContinueOnError)
	kind, payload := flags.String("type", "", ""), flags.String("payload", "", "")
	queue, retries := flags.String("queue", "default", ""), flags.Int("retry", 25, "")
	delay, retention := flags.Duration("process_in", 0, ""), flags.Duration("retention", 0, "")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *kind == "" {
		return nil, fmt.Errorf("--type is required")
	}
	info, err := client.Enqueue(
		asynq.NewTask(*kind, []byte(*payload)),
		asynq.Queue(*queue), asynq.MaxRetry(*retries), asynq.ProcessIn(*delay), asynq.Retention(*retention),
	)
	if err != nil {
		return nil, err
	}
	return shown(info), nil
}
