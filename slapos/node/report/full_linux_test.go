package report_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/slapos/proto"
)

// TestDiskFull tells what there is and destroys what is to go where a partition has filled the
// disk: so there is room again, and nothing is there by half.
func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestDiskFull: only root can mount a small file system")
	}
	l := newLab(t, 3)
	if err := unix.Mount("tmpfs", l.Root, "tmpfs", 0, "size=1m,mode=755"); err != nil {
		t.Skipf("TestDiskFull: no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { do(t, unix.Unmount(l.Root, unix.MNT_DETACH)) })
	for _, id := range []string{"p0", "p1", "p2"} {
		do(t, os.Mkdir(l.At(id), 0o750))
		l.Give(id)
	}
	do(t, l.Supervisor.Close()) // its records are on the same disk
	l.Supervision.Dir = l.At("var/hostler/supervisor")
	do(t, os.MkdirAll(l.Supervision.Dir, 0o755))
	l.Supervise()
	l.pass.Supervisor = l.Supervisor
	for _, id := range []string{"p0", "p1"} {
		l.Runs(id, "srv", "exec sleep 1000")
	}
	for _, title := range []string{"full", "told", "writes"} {
		l.ask(title, "", proto.Started)
	}
	l.Put("p0", "var/xml_report/x", consumption("cpu", "1"), 0o640)
	l.Put("p1", "var/xml_report/x", consumption("cpu", "2"), 0o640)
	l.Put("p2", "etc/report/a", "#!/bin/sh\necho '"+consumption("cpu", "3")+"' >\"$1\" || { rm \"$1\"; exit 1; }\n", 0o750)
	l.ask("full", "", proto.Destroyed)
	f, err := os.Create(l.At("p0", "fill"))
	do(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	do(t, f.Close())
	l.run(1)
	if pid := l.State("p1:srv").PID; pid == 0 || l.State("p0:srv").PID != 0 {
		t.Errorf(
			`l.State("p0:srv") = %+v, l.State("p1:srv") = %+v`+
				`; want pid != 0 and l.State("p0:srv").PID == 0`,
			l.State("p0:srv"), l.State("p1:srv"),
		)
	}
	l.Says("what is told now is not recorded")
	if l.error("p2") == "" || l.error("p1") != "" {
		t.Errorf(
			`l.error("p1") = %q, l.error("p2") = %q`+
				`; want l.error("p2") != "" and l.error("p1") == ""`,
			l.error("p1"), l.error("p2"),
		)
	}
	l.Gone("p0/fill", "p0/var", "p1/var/xml_report/x")
	if used := l.used(); len(used) != 2 {
		t.Error(used)
	}
	var left []string
	do(t, filepath.WalkDir(l.Root, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() && path == l.Supervision.Dir {
			return filepath.SkipDir
		}
		if err == nil && !e.IsDir() {
			left = append(left, strings.TrimPrefix(path, l.Root+"/"))
		}
		return err
	}))
	if strings.Join(left, " ") != "p2/etc/report/a" {
		t.Errorf("there is %q", left)
	}
	l.run(0)
	if used := l.used(); len(used) != 3 {
		t.Error(used)
	}
}
