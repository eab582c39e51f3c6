package collect

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/slapos/node/home"
)

// The files of the collector, below the root of all partitions.
const (
	dataLog  = "var/data-log"
	database = "collector.db"
	lastFile = "collector.last" // the counters of the sample before, ours
	lockFile = "collector.lock"
	reports  = "var/xml_report"
)

// seenFile is the file in a partition with its use at the last sample.
const seenFile = ".slapgrid/collect.json"

// manyProcesses is how many of a partition's processes have rows of their own.
const manyProcesses = 500

// A Collector says what to collect, and where.
type Collector struct {
	Computer     string // its ID
	InstanceRoot string // the directory of the partitions' directories; the database is below it
	SoftwareRoot string // the disk of which is of interest too
	Days         int    // rows that were reported are kept for so many; 0: 15

	Folders bool          // how much disk partitions take is measured
	Cycle   time.Duration // so often; 0: once a day

	Log func(line string) // may be nil
	Now func() time.Time  // nil: time.Now
}

// lastSample is what the sample before has left, for the differences.
type lastSample struct {
	Time      time.Time            `json:"time"`
	Run       string               `json:"run"` // of the machine
	Busy, All float64              // seconds of its cores
	CPU       map[string]float64   `json:"cpu"`     // seconds, of PID/START
	Folders   map[string]time.Time `json:"folders"` // when each was measured
	Disk      map[string]int64     `json:"disk"`    // bytes, as it was then
}

// A place is a partition.
type place struct {
	id, path string
	name     string // in the tables: its user's, where no other partition has that user, else id
	uid      uint32
}

// Run takes a sample, and completes finished days. If another collector is at work on the same
// files, the error is compute.ErrConflict.
func (c *Collector) Run(ctx context.Context) error {
	now := time.Now()
	if c.Now != nil {
		now = c.Now()
	}
	now = now.UTC()
	dir := filepath.Join(c.InstanceRoot, dataLog)
	if _, err := os.Stat(c.InstanceRoot); err != nil {
		return &compute.Error{Op: "collect.Run", Kind: compute.ErrNotFound, Hint: "instance_root says where the partitions are", Err: err}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return &compute.Error{Op: "collect.Run", Kind: compute.ErrConflict, Err: fmt.Errorf("another collector is at work in %s", dir)}
	}
	db, moved, err := openDatabase(ctx, filepath.Join(dir, database), now)
	if err != nil {
		return err
	}
	defer db.Close()
	if moved != "" {
		c.log("The database could not be read and is %s now: a new one was begun.", moved)
	}
	if err := c.sample(ctx, db, dir, now); err != nil {
		return err
	}
	return c.completeDays(ctx, db, dir, now)
}

func (c *Collector) log(format string, args ...any) {
	if c.Log != nil {
		c.Log(fmt.Sprintf(format, args...))
	}
}

// partitions are the directories of partitions: those directly below the root that are not root's,
// and where all is one user's those that a format has made.
func (c *Collector) partitions() ([]place, error) {
	entries, err := os.ReadDir(c.InstanceRoot)
	if err != nil {
		return nil, err
	}
	var all []place
	for _, e := range entries {
		at := filepath.Join(c.InstanceRoot, e.Name())
		var st unix.Stat_t
		if !e.IsDir() || unix.Lstat(at, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			continue
		}
		_, err := os.Lstat(filepath.Join(at, ".slapos-resource"))
		if err == nil || st.Uid != 0 && int(st.Uid) != os.Getuid() {
			all = append(all, place{id: e.Name(), path: at, name: e.Name(), uid: st.Uid})
		}
	}
	many := map[uint32]int{}
	for i := range all {
		many[all[i].uid]++
	}
	for i := range all {
		if p := &all[i]; many[p.uid] == 1 {
			if u, err := user.LookupId(strconv.FormatUint(uint64(p.uid), 10)); err == nil {
				p.name = u.Username
			}
		}
	}
	return all, nil
}

// partitionOf maps a process to its partition: by its user, and if several have one user by its
// working directory.
func partitionOf(all []place) func(uint32, func() string) string {
	users := map[uint32][]place{}
	for _, p := range all {
		users[p.uid] = append(users[p.uid], p)
	}
	return func(uid uint32, cwd func() string) string {
		of := users[uid]
		if len(of) == 1 && uid != 0 && int(uid) != os.Getuid() {
			return of[0].id
		}
		if len(of) == 0 {
			return ""
		}
		at := cwd()
		for _, p := range of {
			if at == p.path || strings.HasPrefix(at, p.path+"/") {
				return p.id
			}
		}
		return ""
	}
}

// sample sees what there is, and notes it.
func (c *Collector) sample(ctx context.Context, db *sql.DB, dir string, now time.Time) error {
	all, err := c.partitions()
	if err != nil {
		return err
	}
	seen, err := processes(partitionOf(all))
	if err != nil {
		return err
	}
	m := look(c.InstanceRoot, c.SoftwareRoot)
	run, up, err := proc.Uptime()
	if err != nil {
		return err
	}
	before := readLast(dir)
	next := &lastSample{
		Time: now, Run: run, Busy: m.busy, All: m.all, CPU: map[string]float64{}, Folders: map[string]time.Time{},
		Disk: map[string]int64{},
	}
	elapsed := up.Seconds()
	if before.Run == run && before.All < m.all {
		m.percent = percent(m.busy-before.Busy, m.all-before.All)
		elapsed = now.Sub(before.Time).Seconds()
	} else {
		m.percent, before.CPU = percent(m.busy, m.all), nil
	}
	for id, list := range seen {
		for i := range list {
			p := &list[i]
			key := fmt.Sprintf("%d/%d", p.pid, p.start)
			if was, ok := before.CPU[key]; ok && elapsed > 0 {
				p.percent = percent(p.cpu-was, elapsed)
			} else {
				p.percent = percent(p.cpu, since(p.start, up).Seconds())
			}
			next.CPU[key] = p.cpu
		}
		seen[id] = largest(list, manyProcesses)
	}
	measured, err := c.measure(ctx, all, before, next, now)
	if err != nil {
		return err
	}
	if err := change(ctx, db, func(tx *sql.Tx) error { return insertSample(ctx, tx, now, all, seen, measured, &m) }); err != nil {
		return err
	}
	for _, p := range all {
		if err := writeUsage(p, now, seen[p.id], next.Disk[p.id]); err != nil {
			c.log("%s: what it used cannot be told there: %v", p.id, err)
		}
	}
	return writeLast(dir, next)
}

func percent(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return max(0, 100*part/whole)
}

// measure is how much disk those partitions take that were not measured for a while.
func (c *Collector) measure(ctx context.Context, all []place, before, next *lastSample, now time.Time) (map[string]int64, error) {
	out := map[string]int64{}
	for _, p := range all {
		at, known := before.Folders[p.id]
		next.Folders[p.id], next.Disk[p.id] = at, before.Disk[p.id]
		if !c.Folders || known && !now.Before(at) && now.Sub(at) < cmp.Or(c.Cycle, 24*time.Hour) {
			continue
		}
		n, err := folder(p.path, ctx.Err)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			c.log("%s: %v", p.id, err)
		}
		if err == nil || errors.Is(err, errBounds) {
			out[p.id], next.Folders[p.id], next.Disk[p.id] = n, now, n
		}
	}
	maps.DeleteFunc(next.Folders, func(_ string, at time.Time) bool { return at.IsZero() })
	return out, nil
}

// insertSample writes the rows of a sample.
func insertSample(
	ctx context.Context, tx *sql.Tx, now time.Time, all []place, seen map[string][]process, measured map[string]int64,
	m *machine,
) error {
	for _, p := range all {
		for _, q := range seen[p.id] {
			if err := row(
				ctx, tx, "user", now, p.name, q.pid, q.identity(m.boot), q.percent, q.cpu, q.threads,
				percent(float64(q.rss), float64(m.memory)), q.rss, q.rw, q.cycles,
			); err != nil {
				return err
			}
		}
		if n, ok := measured[p.id]; ok {
			if err := row(ctx, tx, "folder", now, p.name, float64(n)/1024); err != nil {
				return err
			}
		}
	}
	var disks []string
	for _, d := range m.disks {
		disks = append(disks, d.device+"="+d.mount)
	}
	list := strings.Join(disks, ";")
	var known string
	err := tx.QueryRowContext(
		ctx, `SELECT partition_list FROM computer WHERE date = ? ORDER BY rowid DESC LIMIT 1`, now.Format(time.DateOnly),
	).Scan(&known)
	if errors.Is(err, sql.ErrNoRows) || err == nil && known != list {
		err = row(ctx, tx, "computer", now, m.cores, m.frequency, m.model, m.memory, "", list)
	}
	if err != nil {
		return err
	}
	if err := row(
		ctx, tx, "system", now, m.load, m.percent, m.memory-m.free, m.free, m.in[0], m.in[1], m.in[2], m.out[0],
		m.out[1], m.out[2],
	); err != nil {
		return err
	}
	for _, d := range m.disks {
		if err := row(ctx, tx, "disk", now, d.device, d.used, d.free, d.mount); err != nil {
			return err
		}
	}
	for _, t := range m.temperatures {
		if err := row(ctx, tx, "temperature", now, t.sensor, t.degrees, t.alarm); err != nil {
			return err
		}
	}
	return nil
}

// partitionUsage is a partition's own data, as written into it.
type partitionUsage struct {
	At        time.Time      `json:"at"`
	CPU       float64        `json:"cpu_percent"`
	Memory    int64          `json:"memory"`
	Threads   int64          `json:"threads"`
	IO        int64          `json:"io"`
	Disk      int64          `json:"disk,omitempty"`
	Processes []processUsage `json:"processes"`
}

type processUsage struct {
	PID     int     `json:"pid"`
	Name    string  `json:"name"`
	CPU     float64 `json:"cpu_percent"`
	CPUTime float64 `json:"cpu_time"`
	Memory  int64   `json:"memory"`
	Threads int64   `json:"threads"`
}

// writeUsage writes a partition's use into it, for programs that watch it from inside.
func writeUsage(p place, now time.Time, seen []process, disk int64) error {
	d, err := home.Open(p.path)
	if err != nil {
		return err
	}
	defer d.Close()
	t := partitionUsage{At: now, Disk: disk, Processes: []processUsage{}}
	for _, q := range seen {
		t.CPU += q.percent
		t.Memory += q.rss
		t.Threads += q.threads
		t.IO += q.rw
		t.Processes = append(t.Processes, processUsage{q.pid, q.name, q.percent, q.cpu, q.rss, q.threads})
	}
	text, err := json.MarshalIndent(t, "", " ")
	if err != nil {
		return err
	}
	if err := d.MakeDir(filepath.Dir(seenFile), 0o755); err != nil {
		return err
	}
	return d.Write(seenFile, append(text, '\n'), 0o640)
}

// readLast reads the state of the last sample; an unreadable one counts as none.
func readLast(dir string) *lastSample {
	l := &lastSample{}
	text, err := os.ReadFile(filepath.Join(dir, lastFile))
	if err != nil || json.Unmarshal(text, l) != nil {
		return &lastSample{}
	}
	return l
}

func writeLast(dir string, l *lastSample) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return writeAtomically(dir, filepath.Join(dir, lastFile), text)
}

// writeAtomically writes a file of ours, whole or not at all. Until then it is in dir, out of
// sight.
func writeAtomically(dir, path string, data []byte) (err error) {
	temp := filepath.Join(dir, filepath.Base(path)+".tmp") // there is one collector
	defer func() {
		if err != nil {
			_ = os.Remove(temp)
		}
	}()
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// exists says that there is a file.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// completeDays completes past days: their tables as text, and a journal of each for the master. It
// deletes old data.
func (c *Collector) completeDays(ctx context.Context, db *sql.DB, dir string, now time.Time) error {
	today := now.Format(time.DateOnly)
	all, err := days(ctx, db, today, false)
	if err != nil {
		return err
	}
	for _, day := range all {
		if path := filepath.Join(dir, day+".tar.gz"); !exists(path) {
			if err := dump(ctx, db, path, day); err != nil {
				return err
			}
		}
	}
	if all, err = days(ctx, db, today, true); err != nil {
		return err
	}
	out, names := filepath.Join(c.InstanceRoot, reports, c.Computer), map[string]string{}
	if len(all) > 0 {
		places, err := c.partitions()
		if err != nil {
			return err
		}
		for _, p := range places {
			names[p.name] = p.id
		}
	}
	for _, day := range all {
		texts, err := journal(ctx, db, c.Computer, day, names)
		if err == nil && len(texts) > 0 {
			err = os.MkdirAll(out, 0o755)
		}
		for i, text := range texts {
			name := day + ".xml"
			if i > 0 {
				name = fmt.Sprintf("%s-%d.xml", day, i+1)
			}
			// marked as reported afterwards: should we end between, the same names are written
			// again
			if err == nil {
				err = writeAtomically(dir, filepath.Join(out, name), []byte(text))
			}
		}
		if err == nil {
			err = reported(ctx, db, day)
		}
		if err != nil {
			return err
		}
	}
	return forget(ctx, db, now.AddDate(0, 0, -cmp.Or(c.Days, 15)).Format(time.DateOnly))
}
