package collect

import (
	"archive/tar"
	"compress/gzip"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto"
)

func do(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lab is a node with two partitions, p0 and p1, of users of their own where we are root.
type lab struct {
	*testing.T
	c    *Collector
	root string
	now  time.Time
	log  string
}

const firstUser = 65100 // nobody else's: tests of other rooms end all that runs as their users

func newLab(t *testing.T) *lab {
	root, err := os.MkdirTemp("", "hostler-collect-")
	do(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	do(t, os.Chmod(root, 0o755))
	return labIn(t, root)
}

func labIn(t *testing.T, root string) *lab {
	l := &lab{T: t, root: root, now: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)}
	for i, id := range []string{"p0", "p1"} {
		do(t, os.Mkdir(l.at(id), 0o750))
		do(t, os.WriteFile(l.at(id, ".slapos-resource"), []byte("{}"), 0o640))
		if os.Getuid() == 0 {
			do(t, os.Chown(l.at(id), firstUser+i, firstUser+i))
		}
	}
	do(t, os.Mkdir(l.at("etc"), 0o755))
	l.c = &Collector{
		Computer: "C", InstanceRoot: root, Folders: true, Now: func() time.Time { return l.now },
		Log: func(line string) { l.log += line + "\n" },
	}
	return l
}

func (l *lab) at(name ...string) string { return filepath.Join(append([]string{l.root}, name...)...) }

func (l *lab) run() {
	l.Helper()
	do(l, l.c.Run(l.Context()))
}

// start runs a script as a partition's user, in its directory, until the test ends.
func (l *lab) start(i int, script string) *exec.Cmd {
	l.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir, cmd.SysProcAttr = l.at(fmt.Sprint("p", i)), &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(firstUser + i), Gid: uint32(firstUser + i)}
	}
	do(l, cmd.Start())
	l.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// ask is what a query of the database finds, its columns joined by spaces.
func (l *lab) ask(query string) (all []string) {
	l.Helper()
	db, err := sql.Open("sqlite", l.at(dataLog, database))
	do(l, err)
	defer db.Close()
	rows, err := db.Query(query)
	do(l, err)
	defer rows.Close()
	names, err := rows.Columns()
	do(l, err)
	for rows.Next() {
		values, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		do(l, rows.Scan(into...))
		line := ""
		for _, v := range values {
			line += " " + v.String
		}
		all = append(all, line[1:])
	}
	do(l, rows.Err())
	return all
}

// TestCollect follows what partitions use over some days: rows, the file in the partition, the
// day's tables and journal, and the end of what is old.
func TestCollect(t *testing.T) {
	l := newLab(t)
	busy := l.start(0, "while :; do :; done")
	l.start(1, "exec sleep 1000")
	do(t, os.WriteFile(l.at("p0/file"), make([]byte, 3<<20), 0o640))
	do(t, os.Link(l.at("p0/file"), l.at("p0/again")))
	do(t, os.Symlink("/usr", l.at("p0/link")))
	// Its time in the kernel's ticks must have begun to be seen.
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", busy.Process.Pid))
		do(t, err)
		if p, ok := parseStat(text, 4096); ok && p.cpu >= 0.05 {
			break
		} else if time.Now().After(end) {
			t.Fatal("it never got to run")
		}
	}
	l.run()
	if got := l.ask(
		`SELECT partition, pid, process LIKE CAST(pid AS INTEGER) || '-1%.%', cpu_time > 0.01, cpu_percent > 0, cpu_num_threads, memory_rss > 0, memory_percent > 0, date, time, reported FROM user WHERE partition = 'p0'`,
	); len(got) != 1 ||
		got[0] != fmt.Sprintf("p0 %d 1 1 1 1 1 1 2026-11-20 10:00:00 0", busy.Process.Pid) {
		t.Error(got)
	}
	if got := l.ask(`SELECT partition FROM user WHERE partition <> 'p0'`); len(got) != 1 || got[0] != "p1" {
		t.Error(got)
	}
	if got := l.ask(
		`SELECT partition, disk_used >= 3072, disk_used < 3900 FROM folder ORDER BY 1`,
	); strings.Join(got, ", ") != "p0 1 1, p1 0 1" {
		t.Error(got)
	}
	if got := l.ask(`SELECT cpu_num_core > 0, memory_size > 0, partition_list LIKE '%=/%' FROM computer`); len(got) != 1 ||
		got[0] != "1 1 1" {
		t.Error(got)
	}
	if got := l.ask(`SELECT cpu_percent > 0, memory_used > 0, memory_free > 0 FROM system`); len(got) != 1 || got[0] != "1 1 1" {
		t.Error(got)
	}
	if got := l.ask(`SELECT count(*) > 0, min(used + free) > 0, max(typeof(used)) FROM disk`); got[0] != "1 1 text" {
		t.Error(got)
	}
	var seen partitionUsage
	text, err := os.ReadFile(l.at("p0", seenFile))
	do(t, err)
	do(t, json.Unmarshal(text, &seen))
	if seen.Memory == 0 || seen.Disk < 3<<20 || len(seen.Processes) != 1 || seen.Processes[0].Name != "sh" || !seen.At.Equal(l.now) {
		t.Errorf(
			"text = %s"+
				"; want seen.Memory != 0 and seen.Disk >= 3<<20 and len(seen.Processes) == 1 and "+
				`seen.Processes[0].Name == "sh" and seen.At.Equal(l.now)`,
			text,
		)
	}
	var st unix.Stat_t
	if do(t, unix.Stat(l.at("p0", seenFile), &st)); os.Getuid() == 0 && st.Uid != firstUser {
		t.Errorf("the file is of %d", st.Uid)
	}

	l.now = l.now.Add(time.Hour)
	l.run()
	if got := l.ask(
		`SELECT (SELECT count(*) FROM folder), (SELECT count(*) FROM computer), (SELECT count(*) FROM system)`,
	); got[0] != "2 1 2" {
		t.Errorf("folders, computers, systems: %s", got)
	}

	l.now = l.now.AddDate(0, 0, 1)
	l.run()
	if got := l.ask(`SELECT DISTINCT date, reported FROM user ORDER BY 1`); strings.Join(got, ", ") != "2026-11-20 1, 2026-11-21 0" {
		t.Error(got)
	}
	tables := l.tables("2026-11-20")
	if rows := tables["2026-11-20/dump_user.csv"]; len(rows) != 4 || rows[0][0] != "p0" ||
		rows[0][1] != fmt.Sprint(busy.Process.Pid) || rows[0][len(rows[0])-3] != "2026-11-20" {
		t.Error(rows)
	}
	if len(tables["2026-11-20/dump_folder.csv"]) != 2 || tables["2026-11-20/dump_heating.csv"] != nil {
		t.Error(tables)
	}
	report := l.at(reports, "C", "2026-11-20.xml")
	text, err = os.ReadFile(report)
	do(t, err)
	journal, err := proto.ParseUsage(string(text))
	do(t, err)
	used := map[string]string{}
	for _, m := range journal[0].Movements {
		used[m.Reference+" "+strings.TrimPrefix(m.Resource, "service_module/")] = m.Quantity
	}
	if journal[0].Reference != "C" || journal[0].Start != "2026-11-20 at 00:00:00" || used["p0 disk_used"] < "3.0" ||
		used["p0 disk_used"] > "3.9" || used["C cpu_load_percent"] == "" || used["p1 memory_used"] == "" {
		t.Errorf("text = %s", text)
	}
	// Once it was sent, it is not made again.
	do(t, os.Remove(report))
	l.run()
	if exists(report) {
		t.Error("a day is reported twice")
	}
	l.now = l.now.AddDate(0, 0, 20)
	l.run()
	if got := l.ask(`SELECT DISTINCT date FROM user ORDER BY 1`); strings.Join(got, ", ") != "2026-12-11" {
		t.Error(got)
	}
	if l.log != "" {
		t.Error(l.log)
	}
}

// tables are those of a day's archive.
func (l *lab) tables(day string) map[string][][]string {
	l.Helper()
	f, err := os.Open(l.at(dataLog, day+".tar.gz"))
	do(l, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	do(l, err)
	out := map[string][][]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		do(l, err)
		out[h.Name], err = csv.NewReader(r).ReadAll()
		do(l, err)
	}
}

// TestTables has the tables of SlapOS's collector: what runs in partitions, and what people have
// written, asks them by these names and types, and for a partition by its user's name.
func TestTables(t *testing.T) {
	l := newLab(t)
	name := "p1"
	if os.Getuid() == 0 {
		do(t, os.Chown(l.at("p1"), 65534, 65534))
		u, err := user.LookupId("65534")
		do(t, err)
		name = u.Username
	}
	do(t, os.WriteFile(l.at("p1/file"), make([]byte, 2<<20), 0o640))
	l.run()
	const ending = "date TEXT, time TEXT, reported INTEGER"
	for table, want := range map[string]string{
		"user":        "partition TEXT, pid REAL, process TEXT, cpu_percent REAL, cpu_time REAL, cpu_num_threads REAL, memory_percent REAL, memory_rss REAL, io_rw_counter REAL, io_cycles_counter REAL",
		"folder":      "partition TEXT, disk_used REAL",
		"computer":    "cpu_num_core REAL, cpu_frequency REAL, cpu_type TEXT, memory_size REAL, memory_type TEXT, partition_list TEXT",
		"system":      "loadavg REAL, cpu_percent REAL, memory_used REAL, memory_free REAL, net_in_bytes REAL, net_in_errors REAL, net_in_dropped REAL, net_out_bytes REAL, net_out_errors REAL, net_out_dropped REAL",
		"disk":        "partition TEXT, used TEXT, free TEXT, mountpoint TEXT",
		"temperature": "sensor_id TEXT, temperature REAL, alarm INTEGER",
		"heating":     "model_id TEXT, sensor_id TEXT, initial_temperature REAL, final_temperature REAL, delta_time REAL, zero_emission_ratio REAL",
	} {
		if got := strings.Join(
			l.ask(fmt.Sprintf("SELECT name, upper(type) FROM pragma_table_info(%q) ORDER BY cid", table)), ", ",
		); got != want+", "+ending {
			t.Errorf("%s has %s", table, got)
		}
	}
	if got := l.ask("SELECT round(disk_used / 1024) FROM folder WHERE partition = '" + name + "'"); len(got) != 1 || got[0] != "2" {
		t.Errorf("%s takes %v MiB", name, got)
	}
	l.now = l.now.AddDate(0, 0, 1)
	l.run()
	text, err := os.ReadFile(l.at(reports, "C", "2026-11-20.xml"))
	do(t, err)
	if !strings.Contains(string(text), "<reference>p1</reference>") || name != "p1" && strings.Contains(string(text), name) {
		t.Errorf("the master would be told of %s", text)
	}
}

// TestOthers counts the processes of many as one, whoever starts how many.
func TestOthers(t *testing.T) {
	var all []process
	for i := range 10 {
		all = append(all, process{pid: i + 1, rss: int64(i), cpu: 1, threads: 2})
	}
	if got := largest(all, 3); len(got) != 4 || got[0].pid != 10 || got[3] != (process{name: "others", rss: 21, cpu: 7, threads: 14}) {
		t.Errorf(
			"got = %+v"+
				`; want len(got) == 4 and got[0].pid == 10 and got[3] == (process{name: "others", rss: 21, `+
				"cpu: 7, threads: 14})",
			got,
		)
	}
}

// TestBadFiles goes on where its files are spoilt, or a partition puts links in their place.
func TestBadFiles(t *testing.T) {
	l := newLab(t)
	do(t, os.MkdirAll(l.at(dataLog), 0o755))
	do(t, os.WriteFile(l.at(dataLog, database), []byte(strings.Repeat("no database ", 1000)), 0o640))
	do(t, os.WriteFile(l.at(dataLog, lastFile), []byte("{"), 0o640))
	do(t, os.Symlink(l.at("etc"), l.at("p0/.slapgrid")))
	l.run()
	if !strings.Contains(l.log, "could not be read and is ") || !strings.Contains(l.log, "p0: what it used cannot be told there") {
		t.Error(l.log)
	}
	if !exists(l.at(dataLog, database+".broken-20261120T100000")) || exists(l.at("etc/collect.json")) || !exists(l.at("p1", seenFile)) {
		t.Error("a file was put where it should not be, or was not where it should")
	}
	if got := l.ask(`SELECT count(*) FROM system`); got[0] != "1" {
		t.Error(got)
	}
	lock, err := os.Open(l.at(dataLog, lockFile))
	do(t, err)
	defer lock.Close()
	do(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	if err := l.c.Run(t.Context()); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("beside another: %v", err)
	}
}

// TestDiskFull says so when there is no room, keeps what there is, and goes on when there is room
// again.
func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestDiskFull: only root may mount a small file system")
	}
	root := t.TempDir()
	do(t, unix.Mount("tmpfs", root, "tmpfs", 0, "size=1m,mode=755"))
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	l := labIn(t, root)
	l.run()
	fill := l.at("p0/fill")
	f, err := os.Create(fill)
	do(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	_ = f.Close()
	l.now = l.now.AddDate(0, 0, 1) // with a day to write
	if err := l.c.Run(t.Context()); err == nil {
		t.Fatal("no error")
	}
	if exists(l.at(dataLog, "2026-11-20.tar.gz")) {
		t.Error("half a day is there")
	}
	do(t, os.Remove(fill))
	l.run()
	if got := l.ask(`SELECT DISTINCT date FROM system ORDER BY 1`); strings.Join(got, " ") != "2026-11-20 2026-11-21" ||
		!exists(l.at(dataLog, "2026-11-20.tar.gz")) {
		t.Error(got)
	}
}

// FuzzStat reads what a process chooses of its own entry without harm.
func FuzzStat(f *testing.F) {
	f.Add([]byte("1 (a) b) Z 1"))
	f.Add([]byte("7 () S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99 1 1 18446744073709551615"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, ok := parseStat(text, 4096); ok && (p.cpu != p.cpu) {
			t.Errorf("%q: p = %+v; want !ok or p.cpu == p.cpu", text, p)
		}
	})
}

// TestManyPartitions makes journals that a report pass reads and sends, of a day of a computer with
// very many partitions.
func TestManyPartitions(t *testing.T) {
	l := newLab(t)
	db, _, err := openDatabase(t.Context(), l.at(database), l.now)
	do(t, err)
	defer db.Close()
	const many = 400
	do(t, change(t.Context(), db, func(tx *sql.Tx) error {
		for i := range many {
			if err := row(t.Context(), tx, "folder", l.now, fmt.Sprint("slapuser", i), 1<<20); err != nil {
				return err
			}
		}
		return nil
	}))
	texts, err := journal(t.Context(), db, "C", "2026-11-20", nil)
	do(t, err)
	told := map[string]bool{}
	for _, text := range texts {
		if len(text) > 100<<10 {
			t.Errorf("a journal has %d bytes", len(text))
		}
		parts, err := proto.ParseUsage(text)
		do(t, err)
		for _, m := range parts[0].Movements {
			told[m.Reference] = true
		}
	}
	if len(texts) < 2 || len(told) != many {
		t.Errorf("%d journals tell of %d partitions", len(texts), len(told))
	}
}
