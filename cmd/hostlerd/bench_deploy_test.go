package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// BenchmarkDeploy sets up 100 nodes with 5 scripts of 100 ms each, and prints how long that takes
// against the same scripts begun by hand, all nodes at once.
func BenchmarkDeploy(b *testing.B) {
	const nodes, scripts = 100, 5
	hostler, _ := built(b)
	dir := b.TempDir()
	env := append(os.Environ(), environment(b, dir)...)
	conf := filepath.Join(dir, "home", ".config", "hostler")
	write := func(name, text string) {
		name = filepath.Join(conf, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	write("sources/many/source.conf", "type = fake\n[fake]\nrun = home\n")
	var names []string
	for i := range scripts {
		names = append(names, fmt.Sprintf("%d.sh", i))
		write("bundles/five/scripts/"+names[i], fmt.Sprintf("#!/bin/sh\nsleep 0.1 # %d\n", i))
	}
	write("bundles/five/bundle.conf", "scripts = "+strings.Join(names, ", ")+"\n")
	n := 0
	deploy := &timed{name: "deploy", run: func() error {
		n++
		cmd := exec.Command(
			hostler, "deploy", fmt.Sprintf("run-%d", n), "-q", "-s", "many", "-b", "five", "--as", "self", "--count",
			fmt.Sprint(nodes), "--parallel", fmt.Sprint(nodes),
		)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if lines := strings.Count(string(out), "\n"); err != nil || lines != nodes {
			return fmt.Errorf("%w: %.500s", err, out)
		}
		return nil
	}}
	floor := &timed{name: "by hand", run: func() error {
		var all sync.WaitGroup
		errs := make([]error, nodes)
		for i := range nodes {
			all.Go(func() {
				for range scripts {
					if err := exec.Command("sh", "-c", "sleep 0.1; exit 0").Run(); err != nil {
						errs[i] = err
					}
				}
			})
		}
		all.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}}
	inTurn(b, 1, floor, deploy)
	fmt.Println()
	row(b, "deploy 100 nodes x 5 scripts of 100 ms", deploy.median().Seconds(), "s", "(aim: 5 on two idle cores)")
	row(b, "the same / the same scripts begun by hand", deploy.median().Seconds()/floor.median().Seconds(), "x", "")
}
