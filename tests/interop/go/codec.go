package main

import (
	"encoding/json"
	"strconv"
	"time"

	_ "time/tzdata" // where the machine has no zone files

	// Registers the library's generated message types, which its own packages keep internal.
	_ "github.com/hibiken/asynq"

	"github.com/robfig/cron/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// decoded is a message as protobuf's JSON, and the bytes that the library's type makes of it again.
type decoded struct {
	JSON  json.RawMessage `json:"json"`
	Bytes []byte          `json:"bytes"`
}

func message(name string) (proto.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("asynq." + name))
	if err != nil {
		return nil, err
	}
	return kind.New().Interface(), nil
}

func decode(name string, data []byte) (any, error) {
	m, err := message(name)
	if err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(data, m); err != nil {
		return nil, err
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	again, err := proto.Marshal(m)
	return decoded{text, again}, err
}

func encode(name string, text []byte) (any, error) {
	m, err := message(name)
	if err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal(text, m); err != nil {
		return nil, err
	}
	return proto.Marshal(m)
}

// fires lists Unix seconds at which a spec fires after start, until the given second, as the scheduler's cron computes
// them in its location.
func fires(spec, location string, start, until int64, most int) (any, error) {
	place, err := time.LoadLocation(location)
	if err != nil {
		return nil, err
	}
	schedule, err := cron.ParseStandard(spec)
	if err != nil {
		return nil, err
	}
	found := []int64{}
	for t := time.Unix(start, 0).In(place); len(found) < most; {
		t = schedule.Next(t)
		if t.IsZero() || t.Unix() > until {
			break
		}
		found = append(found, t.Unix())
	}
	return found, nil
}

func quote(text string) string { return strconv.Quote(text) }

func formatDuration(ns int64) string { return time.Duration(ns).String() }

func parseDuration(text string) (any, error) {
	d, err := time.ParseDuration(text)
	return int64(d), err
}
