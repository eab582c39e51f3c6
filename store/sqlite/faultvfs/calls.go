package faultvfs

import (
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// The driver's SQLite is C that was translated to Go: a C function pointer is the address of a Go
// function value, and all memory that C code sees is libc's, never moved and never Go's.

// pointer makes a C function pointer of a declared function. It would not do for closures.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&struct{ f F }{f})) }

// function makes a Go function of a C function pointer.
func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&struct{ p uintptr }{p})) }

// at is the thing at an address of C memory.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

func vfsAt(p uintptr) *sqlite3.Tsqlite3_vfs { return at[sqlite3.Tsqlite3_vfs](p) }

func alloc(tls *libc.TLS, n uintptr) uintptr {
	p := libc.Xcalloc(tls, 1, libc.Tsize_t(n))
	if p == 0 {
		panic("faultvfs: no memory")
	}
	return p
}

// open opens a file with the ordinary file system, and then puts our methods in front of its own.
func open(tls *libc.TLS, vfs, name, id uintptr, flags int32, outFlags uintptr) int32 {
	v, _ := registry.Load(vfs)
	d := v.(*Disk)
	rc := function[func(
		*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr,
	) int32](vfsAt(d.base).FxOpen)(tls, d.base, name, id, flags, outFlags)
	f := at[sqlite3.Tsqlite3_file](id)
	if rc != sqlite3.SQLITE_OK || f.FpMethods == 0 || name == 0 {
		return rc
	}
	m := alloc(tls, unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{}))
	ours := at[sqlite3.Tsqlite3_io_methods](m)
	*ours = *at[sqlite3.Tsqlite3_io_methods](f.FpMethods)
	ours.FxClose, ours.FxRead, ours.FxWrite = pointer(closeFile), pointer(read), pointer(write)
	ours.FxSync, ours.FxTruncate = pointer(syncFile), pointer(truncate)
	registry.Store(id, &file{disk: d, path: libc.GoString(name), methods: f.FpMethods})
	f.FpMethods = m
	return rc
}

// remove deletes a file. It is no operation that fails of itself, but a dead disk keeps everything.
func remove(tls *libc.TLS, vfs, name uintptr, dirSync int32) int32 {
	v, _ := registry.Load(vfs)
	d := v.(*Disk)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return sqlite3.SQLITE_IOERR
	}
	delete(d.disks, libc.GoString(name))
	return function[func(*libc.TLS, uintptr, uintptr, int32) int32](vfsAt(d.base).FxDelete)(tls, d.base, name, dirSync)
}

func fileAt(id uintptr) (*file, *sqlite3.Tsqlite3_io_methods) {
	v, _ := registry.Load(id)
	f := v.(*file)
	return f, at[sqlite3.Tsqlite3_io_methods](f.methods)
}

// closeFile gives the file its own methods back before it is closed.
func closeFile(tls *libc.TLS, id uintptr) int32 {
	f, m := fileAt(id)
	registry.Delete(id)
	h := at[sqlite3.Tsqlite3_file](id)
	ours := h.FpMethods
	h.FpMethods = f.methods
	rc := function[func(*libc.TLS, uintptr) int32](m.FxClose)(tls, id)
	libc.Xfree(tls, ours)
	return rc
}

func read(tls *libc.TLS, id, buf uintptr, n int32, off int64) int32 {
	f, m := fileAt(id)
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.dead {
		return sqlite3.SQLITE_IOERR_READ
	}
	return function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](m.FxRead)(tls, id, buf, n, off)
}

// write notes the change until a sync. The last write before a crash may be cut short.
func write(tls *libc.TLS, id, buf uintptr, n int32, off int64) int32 {
	f, m := fileAt(id)
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	rc, last := d.step()
	if rc != sqlite3.SQLITE_OK {
		return rc
	}
	data := make([]byte, n)
	copy(data, unsafe.Slice(at[byte](buf), n))
	if last {
		data = data[:d.dice.IntN(int(n)+1)]
	}
	if err := d.note(f.path, change{off, data}); err != nil {
		return sqlite3.SQLITE_IOERR_WRITE
	}
	if last {
		return d.end(sqlite3.SQLITE_IOERR_WRITE)
	}
	return function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](m.FxWrite)(tls, id, buf, n, off)
}

func truncate(tls *libc.TLS, id uintptr, size int64) int32 {
	f, m := fileAt(id)
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	rc, last := d.step()
	if rc != sqlite3.SQLITE_OK {
		return rc
	}
	if err := d.note(f.path, change{size, nil}); err != nil {
		return sqlite3.SQLITE_IOERR_TRUNCATE
	}
	if last {
		return d.end(sqlite3.SQLITE_IOERR_TRUNCATE)
	}
	return function[func(*libc.TLS, uintptr, int64) int32](m.FxTruncate)(tls, id, size)
}

// syncFile drops the noted changes of the file, which are now safe. The file itself is not
// synced.
func syncFile(_ *libc.TLS, id uintptr, _ int32) int32 {
	f, _ := fileAt(id)
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	rc, last := d.step()
	if rc != sqlite3.SQLITE_OK {
		return rc
	}
	if last {
		return d.end(sqlite3.SQLITE_IOERR_FSYNC)
	}
	delete(d.disks, f.path)
	return sqlite3.SQLITE_OK
}

// end crashes. The caller of the operation gets an error, as if its process had survived to see
// one.
func (d *Disk) end(rc int32) int32 {
	if err := d.crash(); err != nil {
		panic(err)
	}
	return rc
}
