package main

import (
	"fmt"
	"time"

	"github.com/hibiken/asynq"
)

// task is asynq.TaskInfo as JSON. Times are Unix seconds, 0 for Go's zero time.
type task struct {
	ID, Queue, Type, State, Group, LastErr string
	Payload, Result                        []byte
	Headers                                map[string]string
	MaxRetry, Retried                      int
	LastFailedAt, Deadline                 int64
	NextProcessAt, CompletedAt             int64
	Timeout, Retention                     int64
	IsOrphaned                             bool
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func shown(t *asynq.TaskInfo) task {
	return task{
		ID: t.ID, Queue: t.Queue, Type: t.Type, State: t.State.String(), Group: t.Group, LastErr: t.LastErr,
		Payload: t.Payload, Result: t.Result, Headers: t.Headers, MaxRetry: t.MaxRetry, Retried: t.Retried,
		LastFailedAt: unix(t.LastFailedAt), Deadline: unix(t.Deadline),
		NextProcessAt: unix(t.NextProcessAt), CompletedAt: unix(t.CompletedAt),
		Timeout: int64(t.Timeout / time.Second), Retention: int64(t.Retention / time.Second),
		IsOrphaned: t.IsOrphaned,
	}
}

type server struct {
	ID, Host, Status string
	PID, Concurrency int
	Queues           map[string]int
	StrictPriority   bool
	Started          int64
	Workers          []worker
}

type worker struct {
	TaskID, TaskType, Queue string
	Payload                 []byte
	Started, Deadline       int64
}

type entry struct {
	ID, Spec, Type string
	Payload        []byte
	Options        []string
	Next, Prev     int64
}

func inspect(i *asynq.Inspector, r request) (any, error) {
	switch r.Op {
	case "queues":
		return i.Queues()
	case "queue":
		return i.GetQueueInfo(r.Queue)
	case "history":
		return i.History(r.Queue, r.Days)
	case "groups":
		return i.Groups(r.Queue)
	case "task":
		info, err := i.GetTaskInfo(r.Queue, r.ID)
		if err != nil {
			return nil, err
		}
		return shown(info), nil
	case "tasks":
		return tasks(i, r)
	case "servers":
		return servers(i)
	case "entries":
		return entries(i)
	case "events":
		return i.ListSchedulerEnqueueEvents(r.ID, asynq.Page(r.Page), asynq.PageSize(r.Size))
	}
	return act(i, r)
}

func act(i *asynq.Inspector, r request) (any, error) {
	switch r.Op {
	case "run":
		return nil, i.RunTask(r.Queue, r.ID)
	case "archive":
		return nil, i.ArchiveTask(r.Queue, r.ID)
	case "delete":
		return nil, i.DeleteTask(r.Queue, r.ID)
	case "update payload":
		return nil, i.UpdateTaskPayload(r.Queue, r.ID, r.Payload)
	case "cancel":
		return nil, i.CancelProcessing(r.ID)
	case "pause":
		return nil, i.PauseQueue(r.Queue)
	case "unpause":
		return nil, i.UnpauseQueue(r.Queue)
	case "delete queue":
		return nil, i.DeleteQueue(r.Queue, r.Force)
	case "run all", "archive all", "delete all":
		if r.State == "aggregating" {
			return ofGroup(i, r)
		}
		return ofState(i, r)
	}
	return nil, fmt.Errorf("no such operation: %q", r.Op)
}

func ofState(i *asynq.Inspector, r request) (any, error) {
	every := map[string]func(string) (int, error){
		"run all scheduled":     i.RunAllScheduledTasks,
		"run all retry":         i.RunAllRetryTasks,
		"run all archived":      i.RunAllArchivedTasks,
		"archive all pending":   i.ArchiveAllPendingTasks,
		"archive all scheduled": i.ArchiveAllScheduledTasks,
		"archive all retry":     i.ArchiveAllRetryTasks,
		"delete all pending":    i.DeleteAllPendingTasks,
		"delete all scheduled":  i.DeleteAllScheduledTasks,
		"delete all retry":      i.DeleteAllRetryTasks,
		"delete all archived":   i.DeleteAllArchivedTasks,
		"delete all completed":  i.DeleteAllCompletedTasks,
	}
	operation, ok := every[r.Op+" "+r.State]
	if !ok {
		return nil, fmt.Errorf("no such operation: %q %q", r.Op, r.State)
	}
	return operation(r.Queue)
}

func ofGroup(i *asynq.Inspector, r request) (any, error) {
	switch r.Op {
	case "run all":
		return i.RunAllAggregatingTasks(r.Queue, r.Group)
	case "archive all":
		return i.ArchiveAllAggregatingTasks(r.Queue, r.Group)
	}
	return i.DeleteAllAggregatingTasks(r.Queue, r.Group)
}

func tasks(i *asynq.Inspector, r request) (any, error) {
	list := map[string]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		"pending": i.ListPendingTasks, "active": i.ListActiveTasks, "scheduled": i.ListScheduledTasks,
		"retry": i.ListRetryTasks, "archived": i.ListArchivedTasks, "completed": i.ListCompletedTasks,
		"aggregating": func(queue string, options ...asynq.ListOption) ([]*asynq.TaskInfo, error) {
			return i.ListAggregatingTasks(queue, r.Group, options...)
		},
	}[r.State]
	found, err := list(r.Queue, asynq.Page(r.Page), asynq.PageSize(r.Size))
	result := []task{}
	for _, info := range found {
		result = append(result, shown(info))
	}
	return result, err
}

func servers(i *asynq.Inspector) (any, error) {
	found, err := i.Servers()
	result := []server{}
	for _, s := range found {
		workers := []worker{}
		for _, w := range s.ActiveWorkers {
			workers = append(workers, worker{
				w.TaskID, w.TaskType, w.Queue, w.TaskPayload, unix(w.Started), unix(w.Deadline),
			})
		}
		result = append(result, server{
			s.ID, s.Host, s.Status, s.PID, s.Concurrency, s.Queues, s.StrictPriority, unix(s.Started), workers,
		})
	}
	return result, err
}

func entries(i *asynq.Inspector) (any, error) {
	found, err := i.SchedulerEntries()
	result := []entry{}
	for _, e := range found {
		options := []string{}
		for _, option := range e.Opts {
			options = append(options, option.String())
		}
		result = append(result, entry{
			e.ID, e.Spec, e.Task.Type(), e.Task.Payload(), options, unix(e.Next), unix(e.Prev),
		})
	}
	return result, err
}
