package container

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// peer returns the credentials of the process that listens on the engine's socket.
func (e *engine) peer(ctx context.Context) (*unix.Ucred, error) {
	conn, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var peer *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); cerr != nil {
		return nil, cerr
	}
	return peer, err
}

// ceiling returns the hard limits of the process that listens on the engine's socket; 0: unknown,
// or no limit.
func (e *engine) ceiling(ctx context.Context) (files, processes int64) {
	peer, err := e.peer(ctx)
	if err != nil {
		return 0, 0
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(int(peer.Pid)) + "/limits")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			files = hard(rest)
		} else if rest, ok := strings.CutPrefix(line, "Max processes"); ok {
			processes = hard(rest)
		}
	}
	return files, processes
}

func hard(line string) int64 {
	f := strings.Fields(line)
	if len(f) < 2 {
		return 0
	}
	n, _ := strconv.ParseInt(f[1], 10, 64) // "unlimited" is 0
	return n
}
