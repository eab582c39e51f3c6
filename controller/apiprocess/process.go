package apiprocess

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/hostler-project/hostler/auth/certificate"
	"github.com/hostler-project/hostler/controller/server"
)

// grace is how long requests that are being answered may take when the process is told to end.
const grace = 30 * time.Second

// Each connection of HTTP/2 has so many requests, and so many bytes of bodies that nobody has read.
const (
	mostStreams = 100
	mostUnread  = 256 << 10
)

// started runs in a confined process while it serves. Only tests set it.
var started = func(*relay) {}

// Main is the API process. It returns the exit status.
func Main() int {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func run() error {
	var s setup
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return fmt.Errorf("what the engine says: %w", err)
	}
	c, err := net.FileConn(os.NewFile(socketFD, "door"))
	if err != nil {
		return fmt.Errorf("the socket of the engine: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("the socket of the engine is %s", c.LocalAddr().Network())
	}
	in := newFDReceiver(u, s)
	f := newRelay(s, in.dial)
	_ = time.Now().Local() // what is read of this machine is read now
	lacks, err := confineSelf(s)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(ready{lacks}); err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() { received <- in.receive() }()
	go started(f)
	err = f.listen(in, s.TLS)
	_ = u.Close()
	<-received // it ends with the door
	return err
}

// listen serves what comes through the door until the engine says that the process is to end, by
// the end of the standard input.
func (f *relay) listen(in *fdReceiver, secure bool) error {
	all := []net.Listener{in.probes}
	for _, l := range in.clients {
		if secure {
			all = append(all, tls.NewListener(l, f.tls()))
		} else {
			all = append(all, l)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var wait sync.WaitGroup
	errs := make(chan error, len(all))
	for i, l := range all {
		var next http.Handler = f
		if i == 0 {
			next = http.HandlerFunc(f.probed)
		}
		wait.Go(func() {
			srv := &http.Server{
				Handler: next, ErrorLog: log.New(io.Discard, "", 0), ConnState: in.places.changed, HTTP2: &http.HTTP2Config{
					MaxConcurrentStreams: mostStreams, MaxReceiveBufferPerConnection: mostUnread, MaxReceiveBufferPerStream: mostUnread,
				},
			}
			errs <- server.Serve(ctx, srv, l, grace)
			cancel() // one without the others is none
		})
	}
	wait.Wait()
	return <-errs
}

// tls is the configuration of a listener: the certificate that the engine shows now, with the
// engine's signatures.
func (f *relay) tls() *tls.Config {
	var mu sync.Mutex
	var was []byte
	var config *tls.Config
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			text, err := askEngine(f.aside, askCertificate, nil)
			if err != nil {
				return nil, err
			}
			mu.Lock()
			defer mu.Unlock()
			if bytes.Equal(text, was) {
				return config, nil
			}
			var p certificate.Public
			if err := json.Unmarshal(text, &p); err != nil {
				return nil, err
			}
			now, err := p.Config(f.sign)
			if err == nil {
				was, config = text, now
			}
			return now, err
		},
	}
}
