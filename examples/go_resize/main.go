// A Go worker beside Python on one Redis: it takes photos from the queue that Python fills, and gives Python a job back.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/hibiken/asynq"
)

type photo struct {
	Number int `json:"number"`
	Width  int `json:"width"`
}

type resized struct {
	Number int    `json:"number"`
	File   string `json:"file"`
}

func main() {
	redis, err := asynq.ParseRedisURI(os.Getenv("HUSTLEX_URL"))
	if err != nil {
		log.Fatal("HUSTLEX_URL: ", err)
	}
	client := asynq.NewClient(redis)
	defer client.Close()

	mux := asynq.NewServeMux()
	mux.HandleFunc("photo:resize", func(ctx context.Context, task *asynq.Task) error {
		var given photo
		if err := json.Unmarshal(task.Payload(), &given); err != nil {
			return fmt.Errorf("no photo: %w: %w", err, asynq.SkipRetry)
		}
		done := resized{given.Number, fmt.Sprintf("%d-%d.jpg", given.Number, given.Width)} // yours resizes here
		payload, err := json.Marshal(done)
		if err != nil {
			return err
		}
		if _, err := task.ResultWriter().Write(payload); err != nil { // for whoever waits for the job's result
			return err
		}
		id := fmt.Sprintf("publish:%s", done.File) // a task that runs twice publishes once
		_, err = client.EnqueueContext(ctx, asynq.NewTask("photo:publish", payload), asynq.TaskID(id))
		if err == asynq.ErrTaskIDConflict {
			return nil
		}
		return err
	})

	server := asynq.NewServer(redis, asynq.Config{Concurrency: 10, Queues: map[string]int{"photos": 1}})
	if err := server.Run(mux); err != nil {
		log.Fatal(err)
	}
}
