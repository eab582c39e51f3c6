package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/web"
	"github.com/hostler-project/hostler/store/sqlite"
)

// BenchmarkSlaposStart measures what a slapos command costs of a processor, in user and in system
// mode: one that only says something, and one that asks a master. The floor is a Go program that
// prints a line. Other load on the machine changes that little.
func BenchmarkSlaposStart(b *testing.B) {
	hostler, bare := built(b)
	m := newMachine(b)
	st, err := sqlite.Open(b.Context(), filepath.Join(m.dir, "master.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	wishes, err := master.New(b.Context(), master.Options{Store: st})
	if err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(web.New(wishes, web.Options{}))
	defer srv.Close()
	slapos, file := filepath.Join(m.dir, "slapos"), filepath.Join(m.dir, "client.cfg")
	if err := os.Symlink(hostler, slapos); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("[slapos]\nmaster_url = "+srv.URL+"\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	floor := m.spends(b, bare)
	help := m.spends(b, slapos, "service", "--help")
	list := m.spends(b, slapos, "service", "list", "--cfg", file)
	b.ResetTimer()
	var spent [3][]time.Duration
	for n := range 51 {
		for i, run := range []func() time.Duration{floor, help, list} {
			if took := run(); n > 0 { // the first warms the files
				spent[i] = append(spent[i], took)
			}
		}
	}
	var median [3]float64
	for i := range spent {
		slices.Sort(spent[i])
		median[i] = ms(spent[i][len(spent[i])/2])
	}
	fmt.Printf(
		"\nprocessor time, medians of 50: bare %.2f ms, slapos service --help %.2f ms, slapos service list %.2f ms\n",
		median[0], median[1], median[2],
	)
	row(b, "slapos service --help, processor", median[1], "ms", "< 10 (reference: 400)")
	row(b, "slapos service list, processor", median[2], "ms", "< 10 (reference: 400)")
	row(b, "slapos service --help / a program that prints a line", median[1]/median[0], "x", "")
}

// spends is how much processor time a command takes.
func (m *machine) spends(b *testing.B, argv ...string) func() time.Duration {
	return func() time.Duration {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir, cmd.Env = filepath.Join(m.dir, "work"), m.env
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%s: err = %v: out = %s; want no error", argv, err, out)
		}
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
}
