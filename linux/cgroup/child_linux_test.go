package cgroup_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/linux/cgroup"
)

const childEnv = "HOSTLER_CGROUP_CHILD"

// TestMain is also what the tests' child processes begin with.
func TestMain(m *testing.M) {
	if mode := os.Getenv(childEnv); mode != "" {
		child(mode, os.Args[1:])
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func child(mode string, args []string) {
	check := func(err error) {
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(3)
		}
	}
	switch mode {
	case "allocate": // touches so many bytes of memory
		n, _ := strconv.Atoi(args[0])
		b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		check(err)
		for i := 0; i < n; i += 4096 {
			b[i] = 1
		}
		fmt.Println("allocated")
	case "breed": // starts so many processes
		n, _ := strconv.Atoi(args[0])
		for i := range n {
			if err := exec.Command("sleep", "60").Start(); err != nil {
				fmt.Println("refused after", i, err)
				return
			}
		}
		fmt.Println("all started")
	case "spin": // computes for so many milliseconds
		n, _ := strconv.Atoi(args[0])
		for end := time.Now().Add(time.Duration(n) * time.Millisecond); time.Now().Before(end); {
		}
	case "bomb": // starts as many as it can, for ever
		for {
			if cmd := exec.Command("sh", "-c", "sleep 60 & sleep 60 & wait"); cmd.Start() == nil {
				go func() { _ = cmd.Wait() }()
			}
		}
	case "look": // tells what this user can do, tries it with the arguments NAME
		t, err := cgroup.Find(args[0])
		check(err)
		can := t.Can()
		fmt.Printf("cpu: %v\nmemory: %v\npids: %v\ngather: %v\n", can.CPU, can.Memory, can.PIDs, can.Gather)
		g, err := t.Make(context.Background(), "one", cgroup.Limits{Memory: 64 << 20})
		check(err)
		fmt.Println("dirs:", strings.Join(g.Dirs(), " "))
		out, err := run(g, "allocate", "200000000")
		fmt.Printf("ran: %v %s\n", err, out)
		kills, err := g.OOMKills()
		fmt.Println("killed:", kills, err)
		check(g.Kill(context.Background()))
		check(g.Remove(context.Background()))
		check(t.Remove(context.Background()))
	case "vacate": // as "look", on version 2 with a controller that this machine has there
		t, err := cgroup.Find(args[0])
		check(err)
		g, err := t.Only(2).MakeWith("hugetlb", "one", "hugetlb.2MB.max", "4194304")
		check(err)
		b, err := os.ReadFile(g.Dirs()[0] + "/hugetlb.2MB.max")
		check(err)
		own, _ := os.ReadFile("/proc/self/cgroup")
		fmt.Printf("limit: %sown: %s", b, own)
		check(g.Remove(context.Background()))
		check(t.Remove(context.Background()))
	case "crash": // makes a group and is killed at the given step
		n, _ := strconv.Atoi(args[1])
		t, err := cgroup.Find(args[0])
		check(err)
		_, err = t.Make(&deadly{Context: context.Background(), left: n}, "one", cgroup.Limits{CPU: 1, Memory: 64 << 20, PIDs: 100})
		fmt.Println("made", err)
	}
}

// deadly is a context that kills the process when it is asked the given time.
type deadly struct {
	context.Context
	left int
}

func (d *deadly) Err() error {
	if d.left--; d.left < 0 {
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
	return nil
}

// command is this test binary as a child.
func command(mode string, args ...string) *exec.Cmd {
	exe := os.Getenv("HOSTLER_CGROUP_EXE")
	if exe == "" {
		exe = "/proc/self/exe"
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+mode)
	return cmd
}

// run starts a child in a group and waits for it.
func run(g *cgroup.Group, mode string, args ...string) (string, error) {
	cmd := command(mode, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: g.FD() >= 0, CgroupFD: g.FD()}
	cmd.WaitDelay = time.Second // what it started has its output
	if err := g.Start(cmd.Start); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return out.String(), err
}
