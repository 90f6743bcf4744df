// Asynqmon serves the real web UI and its API on a free port of 127.0.0.1, and prints the port:
//
//	asynqmon URL
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
)

func main() {
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "asynqmon:", err)
		os.Exit(1)
	}
}

func serve(url string) error {
	redis, err := asynq.ParseRedisURI(url)
	if err != nil {
		return err
	}
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(door.Addr().(*net.TCPAddr).Port)
	return http.Serve(door, asynqmon.New(asynqmon.Options{RedisConnOpt: redis}))
}
