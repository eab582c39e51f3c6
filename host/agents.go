package host

import (
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/program"
	"github.com/hostler-project/hostler/remote/agent"
)

// Agents holds the guest programs that `make agents` built; see the README there.
//
//go:embed agents
var Agents embed.FS

// FindAgent returns the guest program for an architecture. It is embedded in this program and
// unpacked once into the cache; without one, this program itself may serve.
func FindAgent(arch string) (agent.Program, error) {
	return findAgentIn(Agents, arch)
}

// findAgentIn is FindAgent on given files.
func findAgentIn(files fs.FS, arch string) (agent.Program, error) {
	fail := func(hint string, err error) (agent.Program, error) {
		return agent.Program{}, &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("the agent for %s: %w", arch, err), Hint: hint}
	}
	packed, err := fs.Glob(files, "agents/linux-"+arch+"-*.gz")
	if err != nil {
		return fail("", err)
	}
	if len(packed) > 0 {
		program, err := unpackAgent(files, packed[0])
		if err != nil {
			return fail("set XDG_CACHE_HOME to a directory of your own with room for it", err)
		}
		return agent.Program{Path: program}, nil
	}
	if runtime.GOOS != "linux" || arch != runtime.GOARCH {
		return fail("use a hostler that was released or made by `make build`, which has it", errors.New("not part of this program"))
	}
	if withCgo {
		return fail("install hostler with CGO_ENABLED=0 in the environment, by `make build`, or as it was released",
			errors.New("this hostler was built with cgo, so it cannot take the place of the agent"))
	}
	self, err := program.Front() // the same for both programs, so that none replaces the other's
	if err != nil {
		return fail("", err)
	}
	return agent.Program{Path: self, Args: []string{"agent"}}, nil
}

// unpackAgent returns the program packed in a file. It is unpacked into the cache unless this
// user's processes have done so before.
func unpackAgent(files fs.FS, name string) (string, error) {
	words := strings.Split(strings.TrimSuffix(name, ".gz"), "-") // linux, ARCH, SIZE, DIGEST
	digest := words[len(words)-1]
	size, err := strconv.ParseInt(words[len(words)-2], 10, 64)
	if err != nil {
		return "", err
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "agents", digest)
	program := filepath.Join(dir, "hostler-agent")
	if err := unpackedAgent(dir, program, size); !errors.Is(err, fs.ErrNotExist) {
		return program, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	if _, err := ownDir(dir); err != nil {
		return "", err
	}
	packed, err := files.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = packed.Close() }()
	zr, err := gzip.NewReader(packed)
	if err != nil {
		return "", err
	}
	// a child forked meanwhile would have the file open for writing until its exec, and running the
	// file would fail with "text file busy"
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(f.Name()) }() // if it was not renamed
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), zr)
	if err == nil && hex.EncodeToString(sum.Sum(nil)) != digest {
		err = errors.New("its digest is wrong")
	}
	if err == nil {
		err = f.Chmod(0o755)
	}
	if err == nil { // after a power loss there must be no empty file of this name
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return program, os.Rename(f.Name(), program)
}

// unpackedAgent checks that the program is in the cache and belongs to this user. Its digest was
// checked when it was unpacked: reading it all at each start would take longer than a sandbox does.
func unpackedAgent(dir, program string, size int64) error {
	info, err := os.Lstat(program)
	if err != nil {
		return err
	}
	if err := private(dir); err != nil {
		return err
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || int(sys.Uid) != os.Getuid() || !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s is not a file of ours alone", program)
	case info.Size() != size || info.Mode().Perm() != 0o755:
		return fs.ErrNotExist // incomplete, so it is written again
	}
	return nil
}
