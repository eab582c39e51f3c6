package exec_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider"
	kind "github.com/hostler-project/hostler/provider/exec"
	"github.com/hostler-project/hostler/provider/guard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// example returns the path of a worked example.
func example(t *testing.T, name string) string {
	t.Helper()
	at, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for at != "/" {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return filepath.Join(at, "docs", "examples", name)
		}
		at = filepath.Dir(at)
	}
	t.Fatal("no go.mod above")
	return ""
}

func open(t *testing.T, o kind.Options) *kind.Provider {
	t.Helper()
	p, err := kind.Open(t.Context(), slog.New(slog.DiscardHandler), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestExamples(t *testing.T) {
	for _, c := range []struct{ name, program string }{{"dir", "sh"}, {"pydir", "python3"}} {
		for _, guarded := range []bool{false, true} {
			if guarded && c.name == "pydir" {
				continue // Python starts slowly, and the guard knows nothing of it
			}
			t.Run(fmt.Sprintf("%s guarded=%v", c.name, guarded), func(t *testing.T) {
				if err := exec.CommandContext(t.Context(), c.program, "-c", "").Run(); err != nil {
					t.Skipf("exec: %s is not here: %v", c.program, err)
				}
				dir := filepath.Join(t.TempDir(), `it's "a" dir \ $HOME`)
				in := func(installation, dir, maximum string) func(*testing.T) compute.Provider {
					return func(t *testing.T) compute.Provider {
						p := open(t, kind.Options{
							Path: example(t, "hostler-source-"+c.name), Source: "suite", Installation: installation,
							Settings: map[string]string{"dir": dir, "maximum": maximum, "other": "a < b & é\u2028\n"},
						})
						if guarded {
							return guard.New(p, guard.Options{Timeout: map[string]time.Duration{"": time.Minute}, Retries: 1})
						}
						return p
					}
				}
				o := computetest.ProviderOptions{
					New: in("mine", dir, "0"), Foreign: in("theirs", dir, "0"), Patience: 30 * time.Second, Parallel: 4,
					Leak: func() []string { all, _ := filepath.Glob(strings.ReplaceAll(dir, `\`, `\\`) + "/*/*"); return all },
				}
				if c.name == "pydir" {
					o.Full = in("mine", filepath.Join(t.TempDir(), "full"), "1")
				}
				computetest.Provider(t, o)
			})
		}
	}
}

// script makes an executable that runs sh with this text: $verb is the verb, $request the request.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hostler-source-try")
	text = "#!/bin/sh\nrequest=$(cat)\nverb=$(printf %s \"$request\" | sed -n 's/.*\"verb\":\"\\([a-z]*\\)\".*/\\1/p')\n" +
		"[ $verb = describe ] && [ -z \"$DESCRIBED\" ] && { echo '{}'; exit; }\n" + text
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnswers(t *testing.T) {
	long := strings.Repeat("x", 3000)
	var many []string
	for i := range 65 {
		many = append(many, fmt.Sprintf(`"f%d":"v"`, i))
	}
	facts := strings.Join(many, ",")
	for name, c := range map[string]struct {
		script string
		want   error
		text   string // in the error
		hint   string
	}{
		"not found": {
			`echo '{"error":{"kind":"not-found","message":"gone"}}'`, compute.ErrNotFound,
			"try.create: s-1: not found: gone", "",
		},
		"underscore":   {`echo '{"error":{"kind":"No_Capacity"}}'`, compute.ErrNoCapacity, "no capacity", ""},
		"not ready":    {`echo '{"error":{"kind":"not-ready"}}'; exit 3`, compute.ErrNotReady, "", ""},
		"hint":         {`echo '{"error":{"kind":"denied","message":"m","hint":"do that."}}'`, compute.ErrDenied, "m", "do that"},
		"strange kind": {`echo '{"error":{"kind":"odd","message":"m"}}'`, compute.ErrFailed, "odd: m", ""},
		"status":       {`echo some >&2; echo the end >&2; exit 3`, compute.ErrFailed, "exit status 3: some the end", ""},
		"long stderr":  {`head -c 100000 /dev/zero | tr '\0' y >&2; echo the end >&2; exit 1`, compute.ErrFailed, "yyyythe end", ""},
		"signal":       {`kill -9 $$`, compute.ErrFailed, "killed", ""},
		"good yet 1":   {`echo '{"instances":[{"id":"s-1"}]}'; exit 1`, compute.ErrFailed, "exit status 1", ""},
		"nothing":      {`true`, compute.ErrFailed, "no answer", ""},
		"no JSON":      {`echo hello`, compute.ErrFailed, "not a JSON object", ""},
		"array":        {`echo '[]'`, compute.ErrFailed, "not a JSON object", ""},
		"two":          {`echo '{} {}'`, compute.ErrFailed, "more after", ""},
		"wrong sort":   {`echo '{"instances":7}'`, compute.ErrFailed, "not what the protocol says", ""},
		"too long": {
			`printf '{"checked":"'; head -c 2000000 /dev/zero | tr '\0' x; echo '"}'`, compute.ErrFailed,
			"beyond 1048576 bytes", "",
		},
		"without end": {`yes`, compute.ErrFailed, "beyond 1048576 bytes", ""},
		"other id":    {`echo '{"instances":[{"id":"s-2"}]}'`, compute.ErrFailed, "not the one instance", ""},
		"no id":       {`echo '{"instances":[{}]}'`, compute.ErrFailed, "named \"\"", ""},
		"twice":       {`echo '{"instances":[{"id":"s-1"},{"id":"s-1"}]}'`, compute.ErrFailed, "twice", ""},
		"escape": {
			`echo '{"instances":[{"id":"s-1","provider_id":"\u001b[31mred"}]}'`, compute.ErrFailed,
			`the provider_id "\x1b[31mred"`, "",
		},
		"NUL":         {`echo '{"instances":[{"id":"s-1","address":"a\u0000"}]}'`, compute.ErrFailed, "the address", ""},
		"address":     {`echo '{"instances":[{"id":"s-1","address":"a b"}]}'`, compute.ErrFailed, "the address", ""},
		"long value":  {`echo '{"instances":[{"id":"s-1","provider_id":"` + long + `"}]}'`, compute.ErrFailed, "the provider_id", ""},
		"fact":        {`echo '{"instances":[{"id":"s-1","facts":{"os":"a\u000ab"}}]}'`, compute.ErrFailed, `the fact "os"`, ""},
		"fact's name": {`echo '{"instances":[{"id":"s-1","facts":{"o s":"a"}}]}'`, compute.ErrFailed, `the fact "o s"`, ""},
		"many facts":  {`echo '{"instances":[{"id":"s-1","facts":{` + facts + `}}]}'`, compute.ErrFailed, "65 facts", ""},
		"good facts": {
			`echo '{"instances":[{"id":"s-1","provider_id":"/a dir/é","address":"fe80::1%eth0","facts":{"os":"Debian ` +
				`12 (bookworm)","x":""}}]}'`,
			nil, "", "",
		},
		"control":      {`printf '{"error":{"kind":"failed","message":"a\\u001b[31mred\\nb"}}'`, compute.ErrFailed, "a [31mred b", ""},
		"long message": {`echo '{"error":{"message":"` + long + `"}}'`, compute.ErrFailed, "xxx ...", ""},
		"secret":       {`echo "bad token s3cr3t" >&2; exit 1`, compute.ErrFailed, "bad token ***", ""},
		"secret message": {
			`echo '{"error":{"kind":"denied","message":"token s3cr3t","hint":"not s3cr3t"}}'`, compute.ErrDenied,
			"token ***", "not ***",
		},
		"does not read": {`exec <&-; echo '{"instances":[{"id":"s-1","more":{"x":1}}],"new":true}'`, nil, "", ""},
		"in the back":   {`sleep 3983 & echo '{"instances":[{"id":"s-1"}]}'; echo $! >"$0.pid"`, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := script(t, c.script)
			p := open(
				t,
				kind.Options{Path: path, Source: "s", Settings: map[string]string{"token": "s3cr3t"}, Secrets: []string{"", "s3cr3t"}},
			)
			_, err := p.Create(t.Context(), compute.Spec{ID: "s-1"})
			// what the script left on purpose
			if b, rerr := os.ReadFile(path + ".pid"); rerr == nil {
				pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
				if proc, err := os.FindProcess(pid); pid > 1 && err == nil {
					_ = proc.Kill()
				}
			}
			if c.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || compute.Hint(err) != c.hint && c.hint != "" {
				t.Fatalf("%v (hint %q), want %v and %q", err, compute.Hint(err), c.want, c.text)
			}
			if strings.Contains(err.Error()+compute.Hint(err), "s3cr3t") || len(err.Error()) > 5000 {
				t.Errorf("too much is said: %v", err)
			}
		})
	}
}

// TestRequest looks at what the executable is told, and where.
func TestRequest(t *testing.T) {
	path := script(t, `printf '%s' "$request" >"$0.request"; { printf '%s\n' "$@"; env; } >"$0.args"; echo '{"instances":[{"id":"s-1"}]}'`)
	p := open(t, kind.Options{Path: path, Source: "s", Installation: "i", Dir: "/d", Settings: map[string]string{"token": "s3cr3t"}})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "s-1", Image: "debian", Memory: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path + ".request")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":1,"verb":"create","source":"s","installation":"i","id":"s-1","spec":{"image":"debian",` +
		`"memory":1073741824},"dir":"/d","settings":{"token":"s3cr3t"}}`
	if string(b) != want {
		t.Errorf("the request was\n%s, want\n%s", b, want)
	}
	if b, _ := os.ReadFile(path + ".args"); bytes.Contains(b, []byte("s3cr3t")) {
		t.Errorf("the secret is in the arguments or the environment: %s", b)
	}
}

func TestTimeAndCancel(t *testing.T) {
	path := script(t, `sleep 3982 & echo $! >"$0.pid"; wait`)
	dead := func(what string) {
		t.Helper()
		b, err := os.ReadFile(path + ".pid")
		if err != nil {
			t.Fatal(err)
		}
		for range 3000 {
			stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(b)) + "/stat")
			if err != nil || bytes.Contains(stat, []byte(") Z ")) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%s: what the executable started lives", what)
	}
	p := open(t, kind.Options{Path: path, Source: "s"})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // ends with what it waits for, or the test
		for t.Context().Err() == nil {
			if b, err := os.ReadFile(path + ".pid"); err == nil && bytes.HasSuffix(b, []byte("\n")) {
				break
			}
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if err := p.Destroy(ctx, "s-1"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}
	dead("cancelled")
	if err := os.Remove(path + ".pid"); err != nil {
		t.Fatal(err)
	}
	// Only this call has little time, and not the one in which the executable describes itself.
	if err := kind.SetTimeout(p, 2*time.Second).Destroy(t.Context(), "s-1"); !errors.Is(err, compute.ErrTimeout) {
		t.Errorf("%v, want ErrTimeout", err)
	}
	// else it was too slow to begin
	if b, _ := os.ReadFile(path + ".pid"); bytes.HasSuffix(b, []byte("\n")) {
		dead("time-out")
	}
}

func TestAbilities(t *testing.T) {
	t.Setenv("DESCRIBED", "yes")
	path := script(t, `case $verb in
describe) echo "{\"abilities\":[$ABILITIES]}" ;;
names) echo '{"names":["b","a"]}' ;;
clean) echo "{\"checked\":\"$CHECKED\"}" ;;
check) echo '{"error":{"kind":"failed","message":"sick"}}' ;;
esac`)
	for _, c := range [][]string{{}, {"clean"}, {"check", "names"}, {"names", "as-is", "check", "clean", "what-comes-later"}} {
		b, _ := json.Marshal(c)
		t.Setenv("ABILITIES", strings.Trim(string(b), "[]"))
		p := guard.New(open(t, kind.Options{Path: path, Source: "s"}), guard.Options{})
		can := provider.Of(p)
		cleaner, checker, static := can.Cleaner, can.Health.Checker, can.Static
		clean, check := cleaner != nil, checker != nil
		names, stays := static != nil && static.Names() != nil, static != nil && static.AsIs()
		for ability, has := range map[string]bool{"clean": clean, "check": check, "names": names, "as-is": stays} {
			if has != slices.Contains(c, ability) {
				t.Errorf("%v: %s is %v", c, ability, has)
			}
		}
		if names && !slices.Equal(static.Names(), []string{"b", "a"}) {
			t.Errorf("names: %v", static.Names())
		}
		if check {
			if err := checker.Check(t.Context(), "s-1"); !errors.Is(err, compute.ErrFailed) || !strings.Contains(err.Error(), "sick") {
				t.Errorf("check: %v", err)
			}
		}
		if clean {
			t.Setenv("CHECKED", "all")
			if said, err := cleaner.Clean(t.Context(), "s-1"); err != nil || said != "all" {
				t.Errorf("clean: %q, %v", said, err)
			}
			t.Setenv("CHECKED", "")
			if _, err := cleaner.Clean(t.Context(), "s-1"); !errors.Is(err, compute.ErrFailed) {
				t.Errorf("clean that says nothing: %v", err)
			}
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	try := func(typ string) error {
		_, err := kind.Open(t.Context(), slog.New(slog.DiscardHandler), kind.Options{Type: typ, Source: "s"})
		return err
	}
	for _, typ := range []string{"", "nowhere", "../x", "a/b"} {
		if err := try(typ); !errors.Is(err, compute.ErrInvalid) || compute.Hint(err) == "" {
			t.Errorf("type %q: %v, want ErrInvalid with a hint", typ, err)
		}
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{"good": {"#!/bin/sh\necho '{}'", nil}, "gone": {"#!/no/such/thing\n", compute.ErrInvalid}, "data": {"\x00\x01", compute.ErrInvalid}} {
		if err := os.WriteFile(filepath.Join(dir, "hostler-source-"+name), []byte(c.text), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := try(name); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestConnectAnswers(t *testing.T) {
	for answer, want := range map[string]error{
		`{"exec":{"prefix":[]}}`: nil, `{"exec":{"prefix":["env"],"dir":"/"}}`: nil, `{}`: compute.ErrFailed,
		`{"exec":{"prefix":[""]}}`:                      compute.ErrFailed,
		`{"exec":{"prefix":["env"],"root":"relative"}}`: compute.ErrFailed, `{"exec":{"root":"/"}}`: compute.ErrFailed,
		`{"exec":{"prefix":[],"root":"/srv/x"}}`: compute.ErrFailed,
		`{"exec":{"prefix":["env"],"root":"/"}}`: nil, `{"exec":{},"ssh":{"host":"h"}}`: compute.ErrFailed,
		`{"ssh":{"port":70000,"host":"h"}}`: compute.ErrFailed,
		`{"ssh":{"host":"h\u001b"}}`:        compute.ErrFailed, `{"ssh":{"host":"h","user":"a\u0007"}}`: compute.ErrFailed,
		`{"ssh":{"host":"h","key_file":"/\u0000"}}`: compute.ErrFailed,
		`{"exec":{"prefix":["a\u0000"]}}`:           compute.ErrFailed, `{"exec":{"dir":"/\n"}}`: compute.ErrFailed,
		`{"ssh":{}}`: compute.ErrInvalid, `{"ssh":{"host":"-oProxyCommand=x"}}`: compute.ErrInvalid,
		`{"ssh":{"host":"127.0.0.1","port":1}}`:                                                            compute.ErrUnavailable,
		`{"ssh":{"host":"127.0.0.1","port":1,"known_hosts":"a\"b"}}`:                                       compute.ErrFailed,
		`{"ssh":{"host":"127.0.0.1","port":1,"known_hosts":"/dev/null","user":"u","key_file":"/nowhere"}}`: compute.ErrUnavailable,
	} {
		p := open(t, kind.Options{Path: script(t, "cat <<'E'\n"+answer+"\nE\n"), Source: "s", Dir: t.TempDir()})
		conn, err := p.Connect(t.Context(), "s-1")
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", answer, err, want)
		}
		if err == nil {
			conn.Close()
		}
	}
}
