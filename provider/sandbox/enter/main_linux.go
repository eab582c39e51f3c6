package enter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/remote/process"
)

// Main is the agent's verb "sandbox": it becomes the first process of a sandbox, and serves until it is killed. It returns the exit status.
func Main([]string) int {
	plan, listener, err := first()
	if err != nil {
		return complain(err)
	}
	// What we were born with is not for the commands.
	if plan.has("descriptors") {
		if err := unix.CloseRange(ControlFD, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
			return complain(err)
		}
		_ = unix.Close(ProgramFD)
	}
	l, err := net.FileListener(os.NewFile(uintptr(listener), "agent"))
	if err != nil {
		return complain(err)
	}
	os.Clearenv()
	env := map[string]string{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh", "LANG": "C.UTF-8",
	}
	maps.Copy(env, plan.Env)
	for k, v := range env {
		if err := os.Setenv(k, v); err != nil {
			return complain(err)
		}
	}
	conn := process.New(process.Options{KeepEnv: true, Dir: plan.Dir, Owner: true})
	for {
		c, err := l.Accept()
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ECONNABORTED) {
			continue
		}
		if err != nil {
			return complain(err)
		}
		go func() { _ = agent.Serve(context.Background(), c, conn, agent.Options{}) }() // ends with its connection, or with the sandbox
	}
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}
