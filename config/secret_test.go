package config_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSecret(t *testing.T) {
	t.Setenv("SECRET_OF_TEST", "from env")
	file := filepath.Join(t.TempDir(), "a b")
	os.WriteFile(file, []byte("from file\n"), 0o600)
	for ref, want := range map[string]string{
		"env:SECRET_OF_TEST": "from env",
		"file:" + file:       "from file",
		"command:printf '%s|' 'a b' \"c d\" e\\ f '*' '$HOME'": "a b|c d|e f|*|$HOME|",
		`command:printf %s "a\"b\c"`:                           `a"b\c`,
		"command:cat '" + file + "'":                           "from file",
	} {
		if got, err := config.Secret(t.Context(), ref); err != nil || got != want {
			t.Errorf("%s: got = %.100q, err = %v; want no error and got == want", ref, got, err)
		}
	}
}

func TestSecretErrors(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"env:NOT_SET_IN_TEST":         "there is no such variable",
		"file:" + dir + "/none":       "no such file",
		"file:" + pipe:                "not a regular file",
		"command:":                    "names no program",
		"command:cat 'x":              "quote",
		"command:echo $HOME":          "no",
		"command:echo `id`":           "would expand",
		"command:echo \"$(id)\"":      "would expand",
		"command:nonexistent-program": "not found",
		"command:sh -c 'echo hush; echo why >&2; exit 3'": `exit status 3: "why"`,
		"command:head -c 2000000 /dev/zero":               "more than any secret",
		"keyring:":                                        "names nothing",
		"hunter2":                                         "not a reference",
	} {
		got, err := config.Secret(t.Context(), ref)
		if err == nil || got != "" || !strings.Contains(err.Error(), want) {
			t.Errorf(`%s: got = %.100q, err = %v; want an error and got == "" and err.Error() with want`, ref, got, err)
		}
		if err != nil && ref != "command:sh -c 'echo hush; echo why >&2; exit 3'" &&
			(strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s shows the secret: %v", ref, err)
		}
	}
}

func TestSecretCommandIsKilled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pid := filepath.Join(t.TempDir(), "pid")
	go func() { // as soon as it has a child; ends with the test at the latest
		for ctx.Err() == nil {
			if data, _ := os.ReadFile(pid); strings.HasSuffix(string(data), "\n") {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err := config.Secret(ctx, `command:sh -c 'sleep 1000 & echo $! >"$1"; wait' x `+pid)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	data, _ := os.ReadFile(pid)
	n, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	if n == 0 {
		t.Fatal("the command did not start")
	}
	for range 3000 { // the one who inherits it may take a moment to wait for it
		stat, _ := os.ReadFile("/proc/" + strconv.Itoa(n) + "/stat")
		if syscall.Kill(n, 0) != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the command's child %d lives", n)
}

func TestShown(t *testing.T) {
	for _, c := range [][3]string{
		{"password", "hunter2", "(hidden)"}, {"password", "env:PW", "env:PW"}, {"auth-token", "x", "(hidden)"}, {"token", "", ""},
		{"base", "/srv", "/srv"}, {"key", "-----BEGIN PRIVATE KEY-----", "(hidden)"}, {"Client_Secret", "x", "(hidden)"},
		{"ssh_host", "h1", "h1"},
	} {
		if got := config.Shown(c[0], c[1]); got != c[2] {
			t.Errorf("%s = %s is shown as %q", c[0], c[1], got)
		}
	}
}
