package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hibiken/asynq"
)

// request is one line of input. Op chooses the operation, the other fields are its arguments.
type request struct {
	Op    string   `json:"op"`
	Task  taskSpec `json:"task"`
	Tasks []taskSpec

	// inspector
	Queue   string `json:"queue"`
	ID      string `json:"id"`
	State   string `json:"state"`
	Group   string `json:"group"`
	Payload []byte `json:"payload"`
	Page    int    `json:"page"`
	Size    int    `json:"size"`
	Days    int    `json:"days"`
	Force   bool   `json:"force"`

	// codec, cron and text
	Message  string          `json:"message"`
	Bytes    []byte          `json:"bytes"`
	JSON     json.RawMessage `json:"json"`
	Spec     string          `json:"spec"`
	Location string          `json:"location"`
	Start    int64           `json:"start"`
	Until    int64           `json:"until"`
	Most     int             `json:"most"`
	Text     string          `json:"text"`
	Ns       int64           `json:"ns"`
}

// reply is one line of output. Kind names the error, for those the library gives a value to.
type reply struct {
	OK    any    `json:"ok"`
	Error string `json:"error,omitempty"`
	Kind  string `json:"kind,omitempty"`
}

var kinds = map[string]error{
	"duplicate":       asynq.ErrDuplicateTask,
	"id taken":        asynq.ErrTaskIDConflict,
	"no queue":        asynq.ErrQueueNotFound,
	"no task":         asynq.ErrTaskNotFound,
	"queue not empty": asynq.ErrQueueNotEmpty,
}

type peer struct {
	redis     asynq.RedisConnOpt
	client    *asynq.Client
	inspector *asynq.Inspector
}

func answer(redis asynq.RedisConnOpt, in io.Reader, out io.Writer) error {
	p := peer{redis, asynq.NewClient(redis), asynq.NewInspector(redis)}
	requests, replies := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	replies.SetEscapeHTML(false)
	for {
		var r request
		if err := requests.Decode(&r); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := replies.Encode(p.reply(r)); err != nil {
			return err
		}
	}
}

func (p peer) reply(r request) (result reply) {
	defer func() {
		if fault := recover(); fault != nil {
			result = reply{Error: fmt.Sprint(fault), Kind: "panic"}
		}
	}()
	value, err := p.do(r)
	if err == nil {
		return reply{OK: value}
	}
	result = reply{Error: err.Error()}
	for kind, known := range kinds {
		if errors.Is(err, known) {
			result.Kind = kind
		}
	}
	return result
}

func (p peer) do(r request) (any, error) {
	switch r.Op {
	case "enqueue":
		return p.enqueue(r.Task)
	case "enqueue many":
		return p.enqueueMany(r.Tasks)
	case "option texts":
		return optionTexts(r.Task), nil
	case "decode":
		return decode(r.Message, r.Bytes)
	case "encode":
		return encode(r.Message, r.JSON)
	case "fires":
		return fires(r.Spec, r.Location, r.Start, r.Until, r.Most)
	case "access":
		return access(p.redis, r.Text, r.JSON)
	case "quote":
		return quote(r.Text), nil
	case "format duration":
		return formatDuration(r.Ns), nil
	case "parse duration":
		return parseDuration(r.Text)
	}
	return inspect(p.inspector, r)
}

func (p peer) enqueue(spec taskSpec) (any, error) {
	info, err := p.client.Enqueue(spec.task(), spec.options()...)
	if err != nil {
		return nil, err
	}
	return shown(info), nil
}

func (p peer) enqueueMany(specs []taskSpec) (any, error) {
	for _, spec := range specs {
		if _, err := p.client.Enqueue(spec.task(), spec.options()...); err != nil {
			return nil, err
		}
	}
	return len(specs), nil
}

func optionTexts(spec taskSpec) []string {
	texts := []string{}
	for _, option := range spec.options() {
		texts = append(texts, option.String())
	}
	return texts
}
