package openssh

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kevinburke/ssh_config"
	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
)

// Target is what OpenSSH's configuration says about one host.
type Target struct {
	Alias string // as the user wrote it
	Host  string // where to connect
	Port  string
	User  string

	identities   []string // files, in order
	certificates []string // CertificateFile
	onlyThese    bool     // IdentitiesOnly
	agent        string   // a socket's path; "": none

	Jump         []string // [USER@]HOST[:PORT], first hop first
	ProxyCommand string

	knownHosts []string // files, the user's first
	newKeys    string   // the user's first file, where accept-new notes keys; "": nowhere
	revoked    []string // files
	keyAlias   string
	strict     string          // yes, no, accept-new
	pinned     []ssh.PublicKey // the only keys that it may have; nil: as the files say
	Timeout    time.Duration
	AliveEvery time.Duration // 0: not said
	AliveCount int
}

// Identity is the first of the private keys' files that is there; "": none, so it is an agent that
// has keys.
func (t *Target) Identity() string {
	for _, name := range t.identities {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			return name
		}
	}
	return ""
}

// lookup answers all values of a keyword for one host, in the order in which OpenSSH takes them.
type lookup func(keyword string) []string

// A word that goes into ProxyCommand or onto ssh's command line may not mean anything to a shell.
var (
	hostWord = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_.:%\[\]][-A-Za-z0-9_.:%\[\]]*$`) })
	userWord = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_.][-A-Za-z0-9_.@+\\]*\$?$`) })
	// What the library does not do as OpenSSH does: Match in all its forms, files included that may
	// have it, canonical names.
	beyondLibrary = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?im)^[ \t]*(match|include|canonicalizehostname)[ \t="]`)
	})
)

// IsUser reports whether a word can be a user's name, with nothing in it that a shell would
// misread.
func IsUser(word string) bool { return userWord().MatchString(word) }

// SplitDestination takes [USER@]HOST[:PORT] or ssh://[USER@]HOST[:PORT] apart.
func SplitDestination(s string) (user, host, port string) {
	rest := strings.TrimSuffix(strings.TrimPrefix(s, "ssh://"), "/")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		user, rest = rest[:i], rest[i+1:]
	}
	if h, p, err := net.SplitHostPort(rest); err == nil {
		return user, h, p
	}
	return user, strings.Trim(rest, "[]"), ""
}

// Resolve reads the configuration for one host. OpenSSH's program, where there is one, is asked
// when the files use what the library cannot do.
func Resolve(ctx context.Context, o Options) (*Target, error) {
	if !hostWord().MatchString(o.Host) {
		return nil, &compute.Error{Op: "ssh.Dial", Kind: compute.ErrInvalid, Err: fmt.Errorf("%q is not a host's name", o.Host)}
	}
	home, _ := os.UserHomeDir()
	files := []string{filepath.Join(home, ".ssh", "config"), "/etc/ssh/ssh_config"}
	if o.ConfigFile != "" {
		files = []string{o.ConfigFile}
	}
	look, err := readConfig(ctx, o, files, home)
	if err != nil {
		return nil, &compute.Error{Op: "ssh.Dial", Kind: compute.ErrInvalid, Err: err}
	}
	t, err := targetFrom(o, look, home)
	if err != nil {
		return nil, &compute.Error{Op: "ssh.Dial", Kind: compute.ErrInvalid, Err: fmt.Errorf("ssh configuration of %s: %w", o.Host, err)}
	}
	return t, nil
}

// readConfig returns the lookup in the configuration files, by the library or by OpenSSH's program.
func readConfig(ctx context.Context, o Options, files []string, home string) (lookup, error) {
	var texts [][]byte
	beyond := false
	for _, f := range files {
		b, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) && o.ConfigFile == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		if f == filepath.Join(home, ".ssh", "config") {
			if err := onlyOurs(f); err != nil {
				return nil, err
			}
		}
		beyond = beyond || beyondLibrary().Match(b)
		texts = append(texts, b)
	}
	if beyond {
		if prog, err := exec.LookPath("ssh"); err == nil {
			return askProgram(ctx, prog, o)
		}
	}
	var configs []*ssh_config.Config
	for i, b := range texts {
		c, err := ssh_config.DecodeBytes(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w (install OpenSSH's client, then its own reading is used)", files[i], err)
		}
		configs = append(configs, c)
	}
	return func(keyword string) (all []string) {
		for _, c := range configs {
			v, _ := c.GetAll(o.Host, keyword)
			all = append(all, v...)
		}
		return all
	}, nil
}

// onlyOurs refuses a configuration of the user's own that others may write, as OpenSSH does: what
// ProxyCommand says is run.
func onlyOurs(file string) error {
	fi, err := os.Stat(file)
	if err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if ok && st.Uid != 0 && int(st.Uid) != os.Getuid() {
		return fmt.Errorf("%s: belongs to another user, number %d", file, st.Uid)
	}
	if fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s: others may write to it (mode %04o); chmod 600 it", file, fi.Mode().Perm())
	}
	return nil
}

// askProgram has OpenSSH print what it would use: "ssh -G".
func askProgram(ctx context.Context, prog string, o Options) (lookup, error) {
	args := []string{"-G"}
	if o.ConfigFile != "" {
		args = append(args, "-F", o.ConfigFile)
	}
	if o.User != "" {
		args = append(args, "-l", o.User)
	}
	if o.Port != 0 {
		args = append(args, "-p", strconv.Itoa(o.Port))
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, prog, append(args, "--", o.Host)...)
	var stderr bytes.Buffer
	cmd.Stderr, cmd.WaitDelay = &stderr, time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ssh -G: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	values := map[string][]string{}
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		k, v, _ := strings.Cut(s.Text(), " ")
		values[k] = append(values[k], v)
	}
	return func(keyword string) []string { return values[strings.ToLower(keyword)] }, nil
}

// targetFrom makes a Target of the values of a lookup and the caller's options.
func targetFrom(o Options, look lookup, home string) (*Target, error) {
	first := func(keyword, otherwise string) string {
		if v := look(keyword); len(v) > 0 && v[0] != "" {
			return v[0]
		}
		return otherwise
	}
	t := &Target{Alias: o.Host, User: o.User, Port: first("Port", "22"), keyAlias: first("HostKeyAlias", "")}
	t.Host = strings.NewReplacer("%h", o.Host, "%%", "%").Replace(first("HostName", o.Host))
	if t.User == "" {
		me := os.Getenv("USER")
		if u, err := user.Current(); err == nil {
			me = u.Username
		}
		t.User = first("User", me)
	}
	if o.Port != 0 {
		t.Port = strconv.Itoa(o.Port)
	}
	if _, err := strconv.ParseUint(t.Port, 10, 16); err != nil {
		return nil, fmt.Errorf("port %q", t.Port)
	}
	if !hostWord().MatchString(t.Host) || !IsUser(t.User) {
		return nil, fmt.Errorf("host %q, user %q: characters that have a meaning to a shell", t.Host, t.User)
	}

	expand := func(s string) string { return t.expand(s, home) }
	t.identities = o.IdentityFiles
	if t.identities == nil {
		t.identities = look("IdentityFile")
	}
	if len(t.identities) == 0 {
		t.identities = []string{"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"}
	}
	t.identities = t.files(t.identities, home)
	t.certificates = t.files(look("CertificateFile"), home)
	t.onlyThese = isYes(first("IdentitiesOnly", "no"))
	t.agent = os.Getenv("SSH_AUTH_SOCK")
	switch a := first("IdentityAgent", "SSH_AUTH_SOCK"); {
	case a == "none":
		t.agent = ""
	case strings.HasPrefix(a, "$"):
		t.agent = os.Getenv(strings.Trim(a, "${}"))
	case a != "SSH_AUTH_SOCK":
		t.agent = expand(a)
	}

	if j := first("ProxyJump", "none"); !strings.EqualFold(j, "none") {
		t.Jump = mapWords(strings.Split(j, ","), strings.TrimSpace)
	} else if c := first("ProxyCommand", "none"); !strings.EqualFold(c, "none") {
		t.ProxyCommand = t.tokens(c, home)
	}

	t.knownHosts = t.files(splitQuoted(orDefault(look("UserKnownHostsFile"), "~/.ssh/known_hosts ~/.ssh/known_hosts2")), home)
	if len(t.knownHosts) > 0 && t.knownHosts[0] != os.DevNull {
		t.newKeys = t.knownHosts[0]
	}
	global := orDefault(look("GlobalKnownHostsFile"), "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2")
	t.knownHosts = append(t.knownHosts, t.files(splitQuoted(global), home)...)
	t.revoked = t.files(splitQuoted(first("RevokedHostKeys", "none")), home)
	switch v := strings.ToLower(first("StrictHostKeyChecking", "ask")); v {
	case "no", "off", "false":
		t.strict = "no"
	case "accept-new":
		t.strict = v
	default: // ask: there is nobody to ask
		t.strict = "yes"
	}
	for _, line := range o.HostKeys {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("host key of %s: %w", t.Host, err)
		}
		t.pinned, t.strict, t.knownHosts, t.newKeys = append(t.pinned, key), "yes", nil, ""
	}
	t.Timeout = seconds(first("ConnectTimeout", ""))
	t.AliveEvery = seconds(first("ServerAliveInterval", ""))
	t.AliveCount, _ = strconv.Atoi(first("ServerAliveCountMax", "3"))
	return t, nil
}

// expand does what OpenSSH does to file names: a leading tilde, environment variables in braces,
// percent tokens.
func (t *Target) expand(s, home string) string {
	if s == "~" || strings.HasPrefix(s, "~/") {
		s = home + s[1:]
	}
	s = regexp.MustCompile(`\$\{\w+\}`).ReplaceAllStringFunc(s, func(v string) string { return os.Getenv(v[2 : len(v)-1]) })
	return t.tokens(s, home)
}

// files are the names in a list of files: "none" says that there is none, and is not one's name. A
// name that is relative starts in our own directory, as OpenSSH has it.
func (t *Target) files(list []string, home string) []string {
	var out []string
	for _, s := range list {
		if strings.EqualFold(s, "none") {
			continue
		}
		name := t.expand(s, home)
		if abs, err := filepath.Abs(name); err == nil {
			name = abs
		}
		out = append(out, name)
	}
	return out
}

// tokens replaces the tokens of ssh_config(5), such as %h, in s. Those it does not know stay as
// they are.
func (t *Target) tokens(s, home string) string {
	me, uid := "", ""
	if u, err := user.Current(); err == nil {
		me, uid = u.Username, u.Uid
	}
	name, _ := os.Hostname()
	short, _, _ := strings.Cut(name, ".")
	key := t.keyAlias
	if key == "" {
		key = t.Alias
	}
	return strings.NewReplacer("%%", "%", "%d", home, "%h", t.Host, "%i", uid, "%k", key, "%L", short, "%l", name, "%n", t.Alias,
		"%p", t.Port, "%r", t.User, "%u", me).Replace(s)
}

// splitQuoted splits at blanks, but not within double quotes.
func splitQuoted(s string) []string {
	var out []string
	for i, part := range strings.Split(s, `"`) {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

func orDefault(v []string, otherwise string) string {
	if len(v) == 0 {
		return otherwise
	}
	return v[0]
}

func mapWords(in []string, f func(string) string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = f(s)
	}
	return out
}

func isYes(s string) bool { return strings.EqualFold(s, "yes") || strings.EqualFold(s, "true") }

// seconds reads OpenSSH's times: 30, 5m, 1h30m. What it cannot read is 0.
func seconds(s string) time.Duration {
	if n, err := strconv.Atoi(s); err == nil {
		return time.Duration(n) * time.Second
	}
	d, _ := time.ParseDuration(s)
	return d
}
