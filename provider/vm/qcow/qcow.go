// Package qcow reads and writes the headers of images of disks.
package qcow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	magic      = 0x514649fb // "QFI" and 0xfb
	clusterLog = 16         // bits: clusters of 64 KiB, as qemu-img makes them
	cluster    = 1 << clusterLog
	// Most is the largest size of a disk.
	Most = 4 << 40 // bytes
)

// Disk is an image's format and size.
type Disk struct {
	Format string // qcow2 or raw
	Size   int64  // bytes, as the machine sees it
}

// Inspect reads an image's header.
func Inspect(path string) (Disk, error) {
	f, err := os.Open(path)
	if err != nil {
		return Disk{}, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return Disk{}, err
	}
	if !fi.Mode().IsRegular() && fi.Mode()&os.ModeDevice == 0 {
		return Disk{}, errors.New("is no file with an image")
	}
	var head [104]byte
	n, err := io.ReadFull(f, head[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return Disk{}, err
	}
	if n < 4 || binary.BigEndian.Uint32(head[:]) != magic {
		size := fi.Size()
		if fi.Mode()&os.ModeDevice != 0 {
			if size, err = f.Seek(0, io.SeekEnd); err != nil {
				return Disk{}, err
			}
		}
		if size < 512 {
			return Disk{}, fmt.Errorf("is no image: it has %d bytes", size)
		}
		return Disk{"raw", size}, nil
	}
	version, size := binary.BigEndian.Uint32(head[4:]), int64(binary.BigEndian.Uint64(head[24:]))
	if n < 72 || version < 2 || version > 3 || size <= 0 || size > Most {
		return Disk{}, errors.New("is a damaged qcow2 image: its header makes no sense")
	}
	return Disk{"qcow2", size}, nil
}

// Overlay writes an empty qcow2 layer over an image, which may be smaller. Without a base it lies
// over nothing. qemu-img would take twenty times as long.
func Overlay(path, base string, below Disk, size int64) error {
	if size = max(size, below.Size); size > Most {
		return fmt.Errorf("a disk of %d bytes is too large", size)
	}
	size = (size + 511) &^ 511
	// of the first table: one for the clusters that a cluster of the second names
	entries := (size + cluster*cluster/8 - 1) / (cluster * cluster / 8)
	tables := (entries*8 + cluster - 1) / cluster
	b := make([]byte, 4*cluster)
	at := binary.BigEndian
	at.PutUint32(b, magic)
	at.PutUint32(b[4:], 3)
	at.PutUint32(b[20:], clusterLog)
	at.PutUint64(b[24:], uint64(size))
	at.PutUint32(b[36:], uint32(entries))
	at.PutUint64(b[40:], 3*cluster) // the first table
	at.PutUint64(b[48:], cluster)   // the table of the blocks with the counts of references
	at.PutUint32(b[56:], 1)
	at.PutUint32(b[96:], 4) // counts of 16 bits
	at.PutUint32(b[100:], 104)
	if base != "" {
		if err := over(b, base, below.Format); err != nil {
			return err
		}
	}
	at.PutUint64(b[cluster:], 2*cluster)
	for i := range 3 + tables {
		at.PutUint16(b[2*cluster+2*i:], 1)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b[:3*cluster])
	if err == nil {
		err = f.Truncate((3 + tables) * cluster)
	}
	return errors.Join(err, f.Close())
}

// over writes into a header the path and format of the image below.
func over(b []byte, base, format string) error {
	at := binary.BigEndian
	// an extension: the format of the image below, so that no reader has to guess
	at.PutUint32(b[104:], 0xe2792aca)
	at.PutUint32(b[108:], uint32(len(format)))
	copy(b[112:], format)
	name := 112 + (len(format)+7)&^7 + 8 // after the extension that ends them
	if name+len(base) > 1023 {
		return errors.New("the path of the image is too long")
	}
	copy(b[name:], base)
	at.PutUint64(b[8:], uint64(name))
	at.PutUint32(b[16:], uint32(len(base)))
	return nil
}

// Leads reports whether a disk's header names another disk below it, and whether it says that its
// content is outside of it.
func Leads(path string) (below, outside bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, false, err
	}
	defer f.Close()
	var head [80]byte
	n, err := io.ReadFull(f, head[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return false, false, err
	}
	const externalData = 1 << 2 // of the features that a reader has to know
	at := binary.BigEndian
	if n < 16 || at.Uint32(head[:]) != magic { // what a shorter one lacks is zero
		return false, false, nil
	}
	return at.Uint64(head[8:]) != 0, at.Uint32(head[4:]) >= 3 && at.Uint64(head[72:])&externalData != 0, nil
}
