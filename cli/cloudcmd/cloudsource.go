package cloudcmd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
	"github.com/hostler-project/hostler/text/units"
)

// The notes of a deployment's record about the files that were written here and their contents.
const noteSource = "source"

// cloudSource describes the servers of a deployment's source.
type cloudSource struct {
	os, user        string
	ram, disk       wholeFlag
	flavor, sets    string
	listed          bool
	keepalive       bareFlag
	confirmDead     bareFlag
	max, spawns     int
	script, goodbye string
	files           []string
	floating        bool
	subnets         []string // of EC2
}

// wholeFlag is a size with a default unit, as in wr.
type wholeFlag struct {
	term.SizeFlag
	unit int64
}

func (f *wholeFlag) Set(s string) error {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 && n < 1<<30 {
		f.Bytes = n * f.unit
		return nil
	}
	return f.SizeFlag.Set(s)
}

// bareFlag is a duration with a default unit, as in wr.
type bareFlag struct {
	term.DurationFlag
	unit time.Duration
}

func (f *bareFlag) Set(s string) error {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 && n < 1<<30 {
		f.Value, f.Given = time.Duration(n)*f.unit, true
		return nil
	}
	return f.DurationFlag.Set(s)
}

func (s *cloudSource) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	const mib, gib = 1 << 20, 1 << 30
	s.ram, s.disk = wholeFlag{term.SizeFlag{Bytes: 2 * gib}, mib}, wholeFlag{term.SizeFlag{Bytes: gib}, gib}
	s.keepalive, s.confirmDead = bareFlag{term.DurationFlag{Value: 2 * time.Minute, Given: true}, time.Second}, bareFlag{unit: time.Minute}
	f.StringVarP(&s.os, "os", "o", "", "write a source of servers with the image of this `NAME`, id or beginning of a name: the newest")
	f.StringVarP(&s.user, "username", "u", "", "`WHO` logs in to them (what the image says)")
	f.VarP(&s.ram, "os-ram", "r", "the least memory of each; a number alone is MiB")
	f.VarP(&s.disk, "os-disk", "d", "the least disk of each; a number alone is GiB")
	f.StringVarP(&s.flavor, "flavor", "f", "", "only flavors whose names match `REGEX`")
	f.StringVar(
		&s.sets, "flavor-sets", "",
		"classes of hardware: `F1,F2;F3,F4`, regular expressions of flavors; where one has no room the next is tried",
	)
	f.BoolVar(&s.listed, "flavor-order-listed", false, "try them in the order given, not the cheapest first")
	f.VarP(&s.keepalive, "keepalive", "k", "one that nobody uses goes after `D`; 0: never; a number alone is seconds")
	f.Var(
		&s.confirmDead, "auto-confirm-dead",
		"keep one that failed for a person to look at, and destroy it after `D`; 0: never; a number alone is minutes (destroy it at once)",
	)
	f.IntVarP(&s.max, "max-servers", "m", 0, "never more than `N` servers; 0: no limit")
	f.IntVar(&s.spawns, "max-spawns", 10, "make `N` of them at a time; 0: no limit")
	f.StringVarP(&s.script, "script", "s", "", "run this `FILE` on each when it has booted")
	f.StringVarP(&s.goodbye, "destroy-script", "y", "", "run this `FILE` on each before it goes")
	f.StringSliceVarP(
		&s.files, "config-files", "c", nil,
		"put `FILES` on each, for --username: LOCAL or LOCAL:REMOTE, absolute paths or below ~/",
	)
	f.BoolVar(&s.floating, "floating-ip", false, "give each a floating IP, by which it is reached")
	_ = cmd.MarkFlagFilename("script")
	_ = cmd.MarkFlagFilename("destroy-script")
	_ = cmd.RegisterFlagCompletionFunc("os", cobra.NoFileCompletions)
}

// plainSource matches the names that a source may have.
var plainSource = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`) })

// check finds errors before anything is made.
func (s *cloudSource) check(name string, head bool) error {
	if s.os == "" {
		if head || s.script != "" || s.goodbye != "" || len(s.files) > 0 || s.confirmDead.Given {
			return fault.Invalid("--os debian-12", "there is no source for that: --os says which image its servers have")
		}
		return nil
	}
	if s.max < 0 || s.spawns < 0 {
		return fault.Invalid("", "--max-servers %d, --max-spawns %d: less than none", s.max, s.spawns)
	}
	if !plainSource().MatchString(name) {
		return fault.Invalid(
			"--resource-name "+regexp.MustCompile(`[^\w-]+`).ReplaceAllString(name, "-"),
			"%s: a source cannot have this name: letters, digits, _ and -", name,
		)
	}
	if _, err := flavor.ParseSets(s.sets); err != nil {
		return fault.Invalid("see https://pkg.go.dev/regexp/syntax for what may be written", "--flavor-sets %s: %v", s.sets, err)
	}
	if strings.ContainsAny(s.user, "/: \t") {
		return fault.Invalid("", "--username %q: no name of a user", s.user)
	}
	for _, text := range []string{s.os, s.user, s.flavor, s.sets} {
		if strings.ContainsAny(text, "\r\n") {
			return fault.Invalid("", "%q: more than one line", text)
		}
	}
	for _, file := range []string{s.script, s.goodbye} {
		if file != "" {
			if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
				return fault.Invalid("", "%s: not a file that can be read", file)
			}
		}
	}
	for _, f := range s.files {
		if _, _, err := s.configFile(f); err != nil {
			return err
		}
	}
	return nil
}

// configFile splits LOCAL[:REMOTE]. ~/ is the home directory here, and on the server that of the
// user who logs in.
func (s *cloudSource) configFile(text string) (local, remote string, err error) {
	local, remote, ok := strings.Cut(text, ":")
	if !ok && strings.HasPrefix(local, "~/") {
		remote, ok = local, true
	}
	if rest, home := strings.CutPrefix(local, "~/"); home {
		h, err := os.UserHomeDir()
		if err != nil {
			return "", "", err
		}
		local = filepath.Join(h, rest)
	}
	if local, err = filepath.Abs(local); err != nil {
		return "", "", err
	}
	if !ok {
		remote = local
	}
	if rest, home := strings.CutPrefix(remote, "~/"); home {
		switch s.user {
		case "":
			return "", "", fault.Invalid("--username debian", "--config-files %s: whose home directory? --username says who logs in", text)
		case "root":
			remote = path.Join("/root", rest)
		default:
			remote = path.Join("/home", s.user, rest)
		}
	}
	if !filepath.IsAbs(remote) || strings.ContainsAny(remote, "\r\n[]") {
		return "", "", fault.Invalid("LOCAL:/where/it/goes", "--config-files %s: %q is no absolute path", text, remote)
	}
	if info, err := os.Stat(local); err != nil || !info.Mode().IsRegular() {
		return "", "", fault.Invalid("", "--config-files %s: %s is not a file that can be read", text, local)
	}
	return local, remote, nil
}

// userConfig returns the user's configuration directory, or that of --config.
func userConfig(a *cli.App) (string, error) {
	if a.Host.ConfigDir != "" {
		return filepath.Abs(a.Host.ConfigDir)
	}
	if d := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "hostler"), nil
	}
	h, err := host.Home()
	if err != nil {
		return "", err
	}
	return filepath.Join(h, ".config", "hostler"), nil
}

// text returns the source.conf.
func (s *cloudSource) text(rec *deployment.Record, o *cloudDeployOptions) string {
	var b strings.Builder
	project, _ := clouds.ProjectOf(clouds.KindOf(rec))
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s = %s\n", key, value)
		}
	}
	b.WriteString("# Written by hostler cloud deploy, and removed by hostler cloud teardown as long as it is not changed.\n")
	line("type", project.Kind)
	if s.max > 0 {
		line("maximum", strconv.Itoa(s.max))
	}
	if s.spawns > 0 {
		line("parallel", strconv.Itoa(s.spawns))
	}
	if idle := s.keepalive.Value.String(); s.keepalive.Value > 0 {
		line("idle", idle)
	} else {
		line("idle", "none")
	}
	if s.confirmDead.Given {
		line("on-failure", "hold")
		after := "none"
		if s.confirmDead.Value > 0 {
			after = s.confirmDead.String()
		}
		line("auto-confirm-dead", after)
	}
	if s.script != "" || len(s.files) > 0 {
		line("bundles", rec.Name)
	}
	b.WriteString("\n[" + project.Kind + "]\n")
	line("deployment", rec.Name)
	line("image", s.os)
	line("user", s.user)
	line("memory", units.FormatSize(s.ram.Bytes))
	line("flavor-sets", s.sets)
	if s.listed {
		line("flavor-order", "listed")
	}
	where := clouds.Where{File: o.file, Region: o.region}
	for _, l := range project.Section(rec, clouds.Source{
		Where: where, Flavor: s.flavor, Disk: units.FormatSize(s.disk.Bytes), Floating: s.floating, Settings: o.settings,
	}) {
		line(l.Key, l.Value)
	}
	return b.String()
}

// written returns the source's files, by their paths below the configuration directory.
func (s *cloudSource) written(rec *deployment.Record, o *cloudDeployOptions) (map[string][]byte, error) {
	out := map[string][]byte{filepath.Join("sources", rec.Name, "source.conf"): []byte(s.text(rec, o))}
	if s.goodbye != "" {
		data, err := os.ReadFile(s.goodbye)
		if err != nil {
			return nil, err
		}
		out[filepath.Join("sources", rec.Name, "goodbye")] = data
		out[filepath.Join(
			"sources", rec.Name, "discard.d", "50-destroy-script",
		)] = []byte("#!/bin/sh\nexec hostler run \"$1\" -- sh -s <\"${0%/*}/../goodbye\"\n")
	}
	if s.script == "" && len(s.files) == 0 {
		return out, nil
	}
	dir := filepath.Join("bundles", rec.Name)
	conf := "# Written by hostler cloud deploy, and removed by hostler cloud teardown as long as it is not changed.\n"
	var sections strings.Builder
	if s.script != "" {
		data, err := os.ReadFile(s.script)
		if err != nil {
			return nil, err
		}
		out[filepath.Join(dir, "scripts", "script")] = data
		conf += "scripts = script\ntimeout = 15m\n"
	}
	var remotes []string
	for i, f := range s.files {
		local, remote, err := s.configFile(f)
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(local)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("%d-%s", i+1, filepath.Base(local))
		out[filepath.Join(dir, "files", name)] = data
		remotes = append(remotes, remote)
		fmt.Fprintf(&sections, "\n[file %s]\nsource = %s\nmode = 0600\n", remote, name)
		if s.user != "" && s.user != "root" {
			fmt.Fprintf(&sections, "owner = %s\n", s.user)
		}
	}
	if len(remotes) > 0 {
		conf += "files = " + strings.Join(remotes, ", ") + "\n"
	}
	out[filepath.Join(dir, "bundle.conf")] = []byte(conf + sections.String())
	return out, nil
}

// noteFile is the name of the note about a written file.
func noteFile(path string) string { return "file:" + path }

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// writeSource records and writes the source's files. A file that it did not write, or that was
// changed since, stays and is an error.
func (w *cloudWork) writeSource(ctx context.Context, rec *deployment.Record, o *cloudDeployOptions) (string, error) {
	root, err := userConfig(w.app)
	if err != nil {
		return "", err
	}
	files, err := o.source.written(rec, o)
	if err != nil {
		return "", err
	}
	if rec.Notes == nil {
		rec.Notes = map[string]string{}
	}
	for name, data := range files {
		path := filepath.Join(root, name)
		old, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", err
		case digestOf(old) != rec.Notes[noteFile(path)] && digestOf(old) != digestOf(data):
			return "", fault.Conflict(
				"move it away, or deploy without --os to leave it as it is",
				"%s is there, and hostler cloud deploy did not write it so", path,
			)
		}
	}
	source := filepath.Join(root, "sources", rec.Name, "source.conf")
	if o.dry {
		return source, nil
	}
	rec.Notes[noteSource] = source
	for name, data := range files {
		rec.Notes[noteFile(filepath.Join(root, name))] = digestOf(data)
	}
	if err := w.records.SaveDeployment(ctx, rec); err != nil {
		return "", err
	}
	for name, data := range files {
		path := filepath.Join(root, name)
		mode := fs.FileMode(0o600)
		if strings.Contains(name, "discard.d") {
			mode = 0o700
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := renameio.WriteFile(path, data, mode); err != nil {
			return "", err
		}
	}
	written := func(path string) bool { // by the options of this deploy
		name, err := filepath.Rel(root, path)
		return err == nil && files[name] != nil
	}
	if err := w.dropWritten(rec, written); err != nil {
		return "", err
	}
	return source, w.records.SaveDeployment(ctx, rec)
}

// dropWritten removes the files of writeSource that are unchanged, except those of stay. It removes
// empty directories too.
func (w *cloudWork) dropWritten(rec *deployment.Record, stay func(path string) bool) error {
	if rec == nil {
		return nil
	}
	for key, digest := range rec.Notes {
		path, ok := strings.CutPrefix(key, "file:")
		if !ok || stay(path) {
			continue
		}
		delete(rec.Notes, key)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && digestOf(data) != digest {
			_ = term.Printf(w.app.Err, "%s: %s stays: it was changed\n", w.app.Program, path)
			continue
		}
		if err == nil {
			err = os.Remove(path)
		}
		if err != nil {
			return &compute.Error{Kind: compute.ErrFailed, Err: err}
		}
		for dir := filepath.Dir(path); filepath.Base(dir) != "sources" && filepath.Base(dir) != "bundles" &&
			os.Remove(dir) == nil; dir = filepath.Dir(dir) {
			continue
		}
	}
	return nil
}

// onSuccess runs the command of --on-success.
func onSuccess(a *cli.App, ctx context.Context, o *cloudDeployOptions, v cloudView) error {
	if o.success == "" || o.dry {
		return nil
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", o.success)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.In, a.Err, a.Err
	cmd.Env = append(os.Environ(), "HOSTLER_CLOUD="+v.Name, "HOSTLER_HEAD="+v.Head)
	if err := cmd.Run(); err != nil {
		return &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("--on-success: %w", err)}
	}
	return nil
}
