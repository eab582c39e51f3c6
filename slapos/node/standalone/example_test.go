package standalone_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/hostler-project/hostler/slapos/node/standalone"
	"github.com/hostler-project/hostler/slapos/proto"
)

// A test of a software release: it is built, an instance of it is requested, and its connection
// parameters say where it is. In a test of Go's, dir is made by os.MkdirTemp, as that has a short
// path, and Stop is called by t.Cleanup.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "slapos")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := standalone.Start(ctx, standalone.StartOptions{Options: standalone.Options{Dir: dir, Partitions: 3}})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Stop(0)

	const release = "/home/me/release/software.cfg"
	if err := s.Supply(ctx, release); err != nil {
		log.Fatal(err)
	}
	err = s.WaitForSoftware(ctx, standalone.WaitOptions{})
	var failed *standalone.PassError
	if errors.As(err, &failed) {
		log.Fatalf("the release is not built:\n%s", failed.Output)
	} else if err != nil {
		log.Fatal(err)
	}
	web := &proto.Request{Title: "web", Release: release, Parameters: proto.Dictionary{"port": "8080"}}
	if _, err := s.Request(ctx, web); err != nil {
		log.Fatal(err)
	}
	if err := s.WaitForInstance(ctx, standalone.WaitOptions{Retries: 10}); err != nil {
		log.Fatal(err)
	}
	instance, err := s.Request(ctx, web)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(instance.Connection["url"])
}
