package remote

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
	"syscall"
	"time"

	"github.com/kevinburke/ssh_config"

	"github.com/hostler-project/hostler/compute"
)

// sshTarget is what OpenSSH's configuration says about one host.
type sshTarget struct {
	alias string // as the user wrote it
	host  string // where to connect
	port  string
	user  string

	identities   []string // files, in order
	certificates []string // CertificateFile
	onlyThese    bool     // IdentitiesOnly
	agent        string   // a socket's path; "": none

	jump         []string // [USER@]HOST[:PORT], first hop first
	proxyCommand string

	knownHosts []string // files, the user's first
	newKeys    string   // the user's first file, where accept-new notes keys; "": nowhere
	revoked    []string // files
	keyAlias   string
	strict     string // yes, no, accept-new
	timeout    time.Duration
	aliveEvery time.Duration // 0: not said
	aliveCount int
}

// sshLookup answers all values of a keyword for one host, in the order in which OpenSSH takes them.
type sshLookup func(keyword string) []string

// A word that goes into ProxyCommand or onto ssh's command line may not mean anything to a shell.
var (
	sshHostWord = regexp.MustCompile(`^[A-Za-z0-9_.:%\[\]][-A-Za-z0-9_.:%\[\]]*$`)
	sshUserWord = regexp.MustCompile(`^[A-Za-z0-9_.][-A-Za-z0-9_.@+\\]*\$?$`)
	// What the library does not do as OpenSSH does: Match in all its forms, files included that may have it, canonical names.
	sshBeyondLibrary = regexp.MustCompile(`(?im)^[ \t]*(match|include|canonicalizehostname)[ \t="]`)
)

// splitDestination takes [USER@]HOST[:PORT] or ssh://[USER@]HOST[:PORT] apart.
func splitDestination(s string) (user, host, port string) {
	rest := strings.TrimSuffix(strings.TrimPrefix(s, "ssh://"), "/")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		user, rest = rest[:i], rest[i+1:]
	}
	if h, p, err := net.SplitHostPort(rest); err == nil {
		return user, h, p
	}
	return user, strings.Trim(rest, "[]"), ""
}

// resolveSSH reads the configuration for one host. OpenSSH's program, where there is one, is asked when the files use what the library cannot do.
func resolveSSH(ctx context.Context, o SSHOptions) (*sshTarget, error) {
	if !sshHostWord.MatchString(o.Host) {
		return nil, &compute.Error{Op: "ssh.Dial", Kind: compute.ErrInvalid, Err: fmt.Errorf("%q is not a host's name", o.Host)}
	}
	home, _ := os.UserHomeDir()
	files := []string{filepath.Join(home, ".ssh", "config"), "/etc/ssh/ssh_config"}
	if o.ConfigFile != "" {
		files = []string{o.ConfigFile}
	}
	look, err := readSSHConfig(ctx, o, files, home)
	if err != nil {
		return nil, &compute.Error{Op: "ssh.Dial", Kind: compute.ErrInvalid, Err: err}
	}
	t, err := targetFrom(o, look, home)
	if err != nil {
		return nil, &compute.Error{Op: "ssh.Dial", Kind: compute.ErrInvalid, Err: fmt.Errorf("ssh configuration of %s: %w", o.Host, err)}
	}
	return t, nil
}

func readSSHConfig(ctx context.Context, o SSHOptions, files []string, home string) (sshLookup, error) {
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
		beyond = beyond || sshBeyondLibrary.Match(b)
		texts = append(texts, b)
	}
	if beyond {
		if prog, err := exec.LookPath("ssh"); err == nil {
			return askSSHProgram(ctx, prog, o)
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

// onlyOurs refuses a configuration of the user's own that others may write, as OpenSSH does: what ProxyCommand says is run.
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

// askSSHProgram has OpenSSH print what it would use: "ssh -G".
func askSSHProgram(ctx context.Context, prog string, o SSHOptions) (sshLookup, error) {
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

func targetFrom(o SSHOptions, look sshLookup, home string) (*sshTarget, error) {
	first := func(keyword, otherwise string) string {
		if v := look(keyword); len(v) > 0 && v[0] != "" {
			return v[0]
		}
		return otherwise
	}
	t := &sshTarget{alias: o.Host, user: o.User, port: first("Port", "22"), keyAlias: first("HostKeyAlias", "")}
	t.host = strings.NewReplacer("%h", o.Host, "%%", "%").Replace(first("HostName", o.Host))
	if t.user == "" {
		me := os.Getenv("USER")
		if u, err := user.Current(); err == nil {
			me = u.Username
		}
		t.user = first("User", me)
	}
	if o.Port != 0 {
		t.port = strconv.Itoa(o.Port)
	}
	if _, err := strconv.ParseUint(t.port, 10, 16); err != nil {
		return nil, fmt.Errorf("port %q", t.port)
	}
	if !sshHostWord.MatchString(t.host) || !sshUserWord.MatchString(t.user) {
		return nil, fmt.Errorf("host %q, user %q: characters that have a meaning to a shell", t.host, t.user)
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
		t.jump = mapWords(strings.Split(j, ","), strings.TrimSpace)
	} else if c := first("ProxyCommand", "none"); !strings.EqualFold(c, "none") {
		t.proxyCommand = t.tokens(c, home)
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
	t.timeout = seconds(first("ConnectTimeout", ""))
	t.aliveEvery = seconds(first("ServerAliveInterval", ""))
	t.aliveCount, _ = strconv.Atoi(first("ServerAliveCountMax", "3"))
	return t, nil
}

// expand does what OpenSSH does to file names: a leading tilde, environment variables in braces, percent tokens.
func (t *sshTarget) expand(s, home string) string {
	if s == "~" || strings.HasPrefix(s, "~/") {
		s = home + s[1:]
	}
	s = regexp.MustCompile(`\$\{\w+\}`).ReplaceAllStringFunc(s, func(v string) string { return os.Getenv(v[2 : len(v)-1]) })
	return t.tokens(s, home)
}

// files are the names in a list of files: "none" says that there is none, and is not one's name. A name that is relative starts in our own
// directory, as OpenSSH has it.
func (t *sshTarget) files(list []string, home string) []string {
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

func (t *sshTarget) tokens(s, home string) string {
	me, uid := "", ""
	if u, err := user.Current(); err == nil {
		me, uid = u.Username, u.Uid
	}
	name, _ := os.Hostname()
	short, _, _ := strings.Cut(name, ".")
	key := t.keyAlias
	if key == "" {
		key = t.alias
	}
	return strings.NewReplacer("%%", "%", "%d", home, "%h", t.host, "%i", uid, "%k", key, "%L", short, "%l", name, "%n", t.alias,
		"%p", t.port, "%r", t.user, "%u", me).Replace(s)
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
