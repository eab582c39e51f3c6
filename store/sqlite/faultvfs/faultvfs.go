// Package faultvfs is a disk that fails on request, for tests. It is a SQLite file system in front
// of the ordinary one. In it the n-th write, sync or truncation fails once, or is the last
// operation before the power goes. Then unsynced data is kept or lost, sector by sector, by a seed.
// Nothing works any more until the file is opened by the ordinary file system.
//
// Syncs do not reach the real disk: their promise is simulated here. SQLite's registry of file
// systems is the process's, so each Disk has a name of its own in it until Close.
package faultvfs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Plan says what happens to a Disk.
type Plan struct {
	// At is the operation that it happens to, from 1: the writes, syncs and truncations of all
	// files are counted together. 0: to none.
	At int
	// Code is SQLite's result code of a single failure; 0: the power goes instead.
	Code int32
	// Seed decides what becomes of unsynced sectors, and how much of the last write is written.
	Seed uint64
}

// Disk is a registered file system.
type Disk struct {
	Name string // for sqlite.Options.VFS

	plan Plan
	vfs  uintptr // ours
	base uintptr // the ordinary one

	mu    sync.Mutex
	count int
	dead  bool
	disks map[string]*image // by path, those with changes that are not synced
	dice  *rand.Rand
}

type file struct {
	disk    *Disk
	path    string
	methods uintptr // the ordinary ones
}

// image is a file's content at its last sync, and the writes since.
type image struct {
	synced  []byte
	changes []change
}

type change struct {
	at   int64
	data []byte // nil: a truncation to at
}

var (
	serial atomic.Int64
	// SQLite's list of file systems is read and written under it; SQLite's own lock is not ours to
	// take
	listing sync.Mutex
	// the address of a VFS, or of an open file: its *Disk or *file. C code knows addresses alone
	registry sync.Map
)

// New registers a Disk.
func New(plan Plan) (*Disk, error) {
	tls := libc.NewTLS()
	defer tls.Close()
	listing.Lock()
	defer listing.Unlock()
	base := sqlite3.Xsqlite3_vfs_find(tls, 0)
	if base == 0 {
		return nil, errors.New("SQLite has no file system")
	}
	d := &Disk{Name: fmt.Sprintf("fault-%d", serial.Add(1)), plan: plan, base: base, disks: map[string]*image{},
		dice: rand.New(rand.NewPCG(plan.Seed, 1))}
	name, err := libc.CString(d.Name)
	if err != nil {
		return nil, err
	}
	d.vfs = alloc(tls, unsafe.Sizeof(sqlite3.Tsqlite3_vfs{}))
	v := vfsAt(d.vfs)
	*v = *vfsAt(base)
	v.FpNext, v.FzName = 0, name
	v.FxOpen = pointer(open)
	v.FxDelete = pointer(remove)
	registry.Store(d.vfs, d)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, d.vfs, 0); rc != 0 {
		return nil, fmt.Errorf("SQLite did not take the file system: %d", rc)
	}
	return d, nil
}

// Close takes the Disk out of SQLite's registry. No file may be open on it.
func (d *Disk) Close() {
	tls := libc.NewTLS()
	defer tls.Close()
	listing.Lock()
	sqlite3.Xsqlite3_vfs_unregister(tls, d.vfs)
	listing.Unlock()
	registry.Delete(d.vfs)
	libc.Xfree(tls, vfsAt(d.vfs).FzName)
	libc.Xfree(tls, d.vfs)
}

// Count is how many operations there were.
func (d *Disk) Count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

// Happened tells whether the planned fault came.
func (d *Disk) Happened() bool { return d.plan.At > 0 && d.Count() >= d.plan.At }

// step counts an operation and says how it goes: as always (ok), not at all and with a code, or as
// the last.
func (d *Disk) step() (rc int32, last bool) {
	if d.dead {
		return sqlite3.SQLITE_IOERR, false
	}
	d.count++
	if d.count != d.plan.At {
		return sqlite3.SQLITE_OK, false
	}
	return d.plan.Code, d.plan.Code == 0
}

// note keeps a change until it is synced. The caller holds mu.
func (d *Disk) note(path string, c change) error {
	im := d.disks[path]
	if im == nil {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		im = &image{synced: b}
		d.disks[path] = im
	}
	im.changes = append(im.changes, c)
	return nil
}

const sector = 512

// crash ends it all: of each file the synced content remains, and some of the later sectors.
func (d *Disk) crash() error {
	d.dead = true
	for path, im := range d.disks {
		b := im.synced
		for _, c := range im.changes {
			if c.data == nil {
				if d.dice.IntN(2) == 0 && int64(len(b)) > c.at {
					b = b[:c.at]
				}
				continue
			}
			for n := 0; n < len(c.data); {
				end := min(len(c.data), n+sector-int(c.at+int64(n))%sector)
				if d.dice.IntN(2) == 0 {
					if grow := c.at + int64(end) - int64(len(b)); grow > 0 {
						b = append(b, make([]byte, grow)...)
					}
					copy(b[c.at+int64(n):], c.data[n:end])
				}
				n = end
			}
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
