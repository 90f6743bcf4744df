// Bench is the Go side of the benchmarks: the real asynq library as a client, as a paced producer and as a worker.
//
//	bench enqueue URL FIRST COUNT CALLERS        enqueues jobs, then prints {"per_s": jobs per second}
//	bench pace URL COUNT GAP_MS                  enqueues one job at a time with pauses around GAP_MS
//	bench work URL LEDGER CONCURRENCY SLEEP_MS   runs jobs until SIGTERM, each marks the ledger (see bench/ledger.py)
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/hibiken/asynq"
)

const (
	queue    = "default"
	taskType = "bench:mark"
)

// job is the payload. SentNs is 0 when nobody asks how long the job waited, else the Unix time it was sent at.
type job struct {
	Job    int   `json:"job"`
	SentNs int64 `json:"sent_ns"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 4 {
		return fmt.Errorf("usage: bench enqueue|pace|work URL ...")
	}
	redis, err := asynq.ParseRedisURI(args[1])
	if err != nil {
		return err
	}
	switch {
	case args[0] == "enqueue" && len(args) == 5:
		return enqueue(redis, number(args[2]), number(args[3]), number(args[4]))
	case args[0] == "pace" && len(args) == 4:
		return pace(redis, number(args[2]), number(args[3]))
	case args[0] == "work" && len(args) == 5:
		return work(redis, args[2], number(args[3]), number(args[4]))
	}
	return fmt.Errorf("cannot read %q", args)
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}
