package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/runas"
)

const (
	delayFile  = ".slapos-retention-lock-delay"
	maxProfile = 4 << 20
	lightFile  = ".hostler-release" // in the directory of a release of a lighter kind
)

// reason is an error in SlapOS's words, which a master's users know.
type reason string

func (r reason) Error() string { return string(r) }

// install processes an instance, by what its release has for that.
func (t *task) install(ctx context.Context) error {
	t.logAct("Installing Computer Partition %s...", t.ID)
	if err := t.checkDiskSpace(); err != nil {
		return err
	}
	if i, err := t.Dir.Stat("."); err != nil {
		return err
	} else if mode := i.Mode().Perm(); mode != 0o750 {
		return &compute.Error{
			Op: "node", ID: compute.ID(t.ID), Kind: compute.ErrDenied,
			Err:  fmt.Errorf("its directory %s has the mode %#o, and it must be 0750", t.Home, mode),
			Hint: "hostler slapos node format sets it",
		}
	}
	if err := t.Dir.Link(t.Release, "software_release"); err != nil {
		return err
	}
	r, err := home.Open(t.Release)
	if err != nil {
		return reason("Software Release " + t.Partition.Release + " is not present on system.")
	}
	defer r.Close()
	if i, err := r.Stat(lightFile); err == nil && i.Mode().IsRegular() {
		err = t.light(ctx, r)
		if err != nil {
			return err
		}
	} else if err := t.buildout(ctx, r); err != nil {
		return err
	}
	if _, err := t.Dir.Stat(delayFile); errors.Is(err, fs.ErrNotExist) {
		delay := "0.0"
		if v, ok := t.Filter["retention_delay"]; ok {
			delay = strings.TrimSpace(fmt.Sprint(v))
		}
		return t.Dir.WriteOur(delayFile, []byte(delay), 0o644)
	}
	return nil
}

// checkDiskSpace returns an error if there is too little free space.
func (t *task) checkDiskSpace() error {
	var st unix.Statfs_t
	if err := unix.Statfs(t.Home, &st); err != nil {
		return fmt.Errorf("%s: how much room there is: %w", t.Home, err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < t.a.Free {
		return &compute.Error{
			Op: "node", ID: compute.ID(t.ID), Kind: compute.ErrNoCapacity,
			Err:  fmt.Errorf("%s has %d MiB free, and %d MiB must be", t.Home, free>>20, t.a.Free>>20),
			Hint: "instance_min_free_space in [slapos]",
		}
	}
	return nil
}

// buildout processes an instance by the profile of its release.
func (t *task) buildout(ctx context.Context, r *home.Dir) error {
	missing := func(file string) error {
		return reason(
			"Software Release " + t.Partition.Release + " is not correctly installed. Missing file: " + filepath.Join(t.Release, file),
		)
	}
	profile, err := r.Read("instance.cfg", maxProfile)
	if errors.Is(err, fs.ErrNotExist) {
		profile, err = r.Read("template.cfg", maxProfile)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return missing("instance.cfg")
	} else if err != nil {
		return err
	}
	whole := append(bytes.TrimRight(profile, "\n"), t.tail()...)
	if err := t.Dir.Write("buildout.cfg", whole, 0o640); err != nil {
		return err
	}
	program := filepath.Join(t.Release, "bin", "buildout")
	names, err := r.List("bin", 10000)
	if err != nil {
		return err
	}
	var first []string
	for _, name := range names {
		if strings.HasPrefix(name, "bootstrap") {
			first = append(first, name)
		}
	}
	switch {
	case len(first) > 1:
		return fmt.Errorf("%s: there are several programs to begin with, %s, and there must be one", t.Release, strings.Join(first, ", "))
	case len(first) == 1:
		begin, err := interpreted(r, "bin/"+first[0])
		if err != nil {
			return err
		}
		if err := t.run(ctx, begin, nil, nil); err != nil {
			return err
		}
		if !t.Dir.Executable("sbin/buildout") {
			return fmt.Errorf("%s has made no sbin/buildout in %s", first[0], t.Home)
		}
		argv, err := interpreted(t.Dir, "sbin/buildout")
		if err != nil {
			return err
		}
		return t.run(ctx, append(argv, t.a.flags()...), nil, nil)
	}
	argv, err := interpreted(r, "bin/buildout")
	if errors.Is(err, fs.ErrNotExist) {
		return missing("bin/buildout")
	} else if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	return t.run(ctx, append(argv, t.a.flags()...), nil, nil)
}

func (a *Agent) flags() []string {
	if a.Debug {
		return []string{"-D", "-U"}
	}
	return []string{"-U"}
}

// interpreted is how a script is run: by what its first line says.
func interpreted(d *home.Dir, name string) ([]string, error) {
	text, err := d.Read(name, maxProfile)
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	words := []string{}
	if rest, ok := strings.CutPrefix(string(line), "#!"); ok {
		words = strings.Fields(rest)
	}
	words = append(words, filepath.Join(d.Path(), name))
	if !filepath.IsAbs(words[0]) {
		return nil, fmt.Errorf("%s begins with no absolute path of an interpreter", filepath.Join(d.Path(), name))
	}
	return words, nil
}

// tail is what an instance's profile is told beside what its release says.
func (t *task) tail() []byte {
	key, cert := t.a.KeyFile, t.a.CertFile
	if t.a.Certificates != "" {
		key, cert = filepath.Join(t.a.Certificates, t.ID+".key"), filepath.Join(t.a.Certificates, t.ID+".crt")
	}
	var b bytes.Buffer
	section := func(name string, pairs ...string) {
		fmt.Fprintf(&b, "\n\n[%s]", name)
		for i := 0; i < len(pairs); i += 2 {
			// A master's value is one value, and no line of its own.
			fmt.Fprintf(&b, "\n%s = %s", pairs[i], strings.ReplaceAll(strings.ReplaceAll(pairs[i+1], "\r", ""), "\n", "\n  "))
		}
	}
	section("buildout", "bin-directory", "${buildout:directory}/sbin", "offline", "true")
	section("slap-connection", "computer-id", t.a.Computer, "partition-id", t.ID, "server-url", t.a.MasterURL, "software-release-url", literal(t.Partition.Release), "key-file", key, "cert-file", cert,
		"shared-part-list", strings.Join(t.a.SharedParts, "\n"), "build-time-part-list", strings.Join(t.a.BuildTimeParts, "\n"), "requested-state", t.State)
	section(
		"slap_connection", "computer_id", t.a.Computer, "partition_id", t.ID, "server_url", t.a.MasterURL,
		"software_release_url", literal(t.Partition.Release), "key_file", key, "cert_file", cert,
	)
	section("storage-configuration", "storage-home", t.a.StorageHome)
	section("network-information", "global-ipv4-network", t.a.GlobalIPv4)
	b.WriteByte('\n')
	return b.Bytes()
}

// literal is a text in which buildout puts nothing in.
func literal(text string) string { return strings.ReplaceAll(text, "${", "$${") }

// run runs a program in a partition, as its user. Its output is logged, and its end is in the
// error. out gets its standard output, if that is not for the log.
func (t *task) run(ctx context.Context, argv []string, in []byte, out *limited) error {
	log := newLines(func(line string) { t.a.say("%s", line) }, func(text string) { t.appendLog(text) })
	c := runas.Command{
		Argv: argv, Dir: t.Home,
		Env: append(runas.Environ(t.a.Environ, t.Home), "SLAPGRID_INSTANCE_ROOT="+t.a.InstanceRoot), User: t.User,
		Umask: 0o027, Input: in, Output: log, Limit: t.a.Limit, Mark: runas.Partition(t.a.Computer, t.Home),
	}
	if out != nil {
		c.Output, c.Errors = out, log
	}
	err := runas.Run(ctx, c)
	log.end()
	if err == nil || ctx.Err() != nil {
		return err
	}
	what := fmt.Sprintf("Failed to run buildout profile in directory '%s':", t.Home)
	if out != nil {
		what = fmt.Sprintf("The program of the release failed in directory '%s' (%v):", t.Home, err)
	}
	if errors.Is(err, runas.ErrLimit) {
		what = fmt.Sprintf("%s it took more than partition_timeout, %s:", what, t.a.Limit)
	}
	return reason(what + "\n" + log.tail())
}

// certificate has a partition's key and certificate be what the master has for it.
func (t *task) certificate(ctx context.Context) error {
	if t.a.Certificates == "" {
		return nil
	}
	pair, err := t.a.Master.Certificate(ctx, t.a.Computer, t.ID)
	if err != nil {
		return err
	}
	d, err := home.Open(t.a.Certificates)
	if err != nil {
		return err
	}
	defer d.Close()
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	if t.User != nil {
		uid, gid = t.User.UID, t.User.GID
	}
	for name, text := range map[string]string{t.ID + ".key": pair.Key, t.ID + ".crt": pair.Certificate} {
		if d.Same(name, []byte(text), 0o400, uid, gid) {
			continue
		}
		if err := d.WriteFor(name, []byte(text), 0o400, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

// lines hands on lines, and keeps the last ones. The writing program never waits for the reader of
// the lines: lines that wait when it ends would be lost. Of a flood, lines are left out.
type lines struct {
	say  func(line string)
	keep func(text string) // is given many lines at once

	last []byte // of Write alone, until end has returned
	mu   sync.Mutex
	wait []byte        // to be told
	left int           // bytes that are not
	bell chan struct{} // closed at the end
	done chan struct{}
}

const (
	maxLine = 8 << 10
	maxTail = 48 << 10
	maxWait = 4 << 20
)

func newLines(say, keep func(string)) *lines {
	l := &lines{say: say, keep: keep, bell: make(chan struct{}, 1), done: make(chan struct{})}
	go l.tell() // until end
	return l
}

// Write keeps the last bytes, and queues text for the reader. What exceeds maxWait is only
// counted, so that no writer waits.
func (l *lines) Write(text []byte) (int, error) {
	l.last = append(l.last, text...)
	if len(l.last) > 2*maxTail {
		l.last = append(l.last[:0], l.last[len(l.last)-maxTail:]...)
	}
	l.mu.Lock()
	if len(l.wait)+len(text) <= maxWait {
		l.wait = append(l.wait, text...)
	} else {
		l.left += len(text)
	}
	l.mu.Unlock()
	select {
	case l.bell <- struct{}{}:
	default:
	}
	return len(text), nil
}

// tell tells the lines as they come.
func (l *lines) tell() {
	defer close(l.done)
	var part []byte
	for open := true; open; {
		_, open = <-l.bell
		l.mu.Lock()
		text, left := l.wait, l.left
		l.wait, l.left = nil, 0
		l.mu.Unlock()
		var said []string
		line := func() {
			if len(part) > 0 {
				said = append(said, strings.ToValidUTF8(string(part), "\ufffd"))
				l.say(said[len(said)-1])
			}
			part = part[:0]
		}
		for len(text) > 0 {
			one, rest, whole := bytes.Cut(text, []byte("\n"))
			part = append(part, one...)
			if text = rest; whole || len(part) > maxLine {
				line()
			}
		}
		if left > 0 || !open {
			line()
		}
		if left > 0 {
			said = append(said, fmt.Sprintf("... %d bytes are left out here", left))
			l.say(said[len(said)-1])
		}
		if len(said) > 0 {
			l.keep(strings.Join(said, "\n"))
		}
	}
}

// end is called when nothing more is written, and returns when all was told.
func (l *lines) end() {
	close(l.bell)
	<-l.done
}

func (l *lines) tail() string {
	return strings.TrimSpace(strings.ToValidUTF8(string(l.last[max(0, len(l.last)-maxTail):]), "\ufffd"))
}

// limited keeps its input up to a size.
type limited struct {
	text []byte
	most int
	over bool
}

func (l *limited) Write(text []byte) (int, error) {
	room := min(len(text), l.most-len(l.text))
	l.text = append(l.text, text[:room]...)
	l.over = l.over || room < len(text)
	return len(text), nil
}
