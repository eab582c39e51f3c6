package config_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/config"
)

// keyring has a program of ours stand for the system's, which knows one name.
func keyring(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	name, at := "secret-tool", `[ "$*" = "lookup service hostler name db" ]`
	if runtime.GOOS == "darwin" {
		name, at = "security", `[ "$*" = "find-generic-password -s hostler -a db -w" ]`
	}
	text := "#!/bin/sh\n" + at + " || { [ \"$5\" = broken ] && echo 'no bus' >&2; exit 1; }\necho 'a pass word'\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// TestKeyring: what the user's keyring has is told, and what it has not with what would put it
// there.
func TestKeyring(t *testing.T) {
	keyring(t)
	if got, err := config.Secret(t.Context(), "keyring:db"); got != "a pass word" || err != nil {
		t.Errorf(`got = %q, err = %v; want got == "a pass word" and no error`, got, err)
	}
	for ref, want := range map[string]string{
		"keyring:other": "hostler", "keyring:": "names nothing", "keyring:-x": "nothing under that name",
	} {
		if got, err := config.Secret(t.Context(), ref); got != "" || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf(`%s: got = %q, err = %v; want got == "" and an error and err.Error() with want`, ref, got, err)
		}
	}
	if !config.IsReference("keyring:db") {
		t.Error("it is no reference")
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := config.Secret(t.Context(), "keyring:db"); err == nil || !strings.Contains(err.Error(), "is not here; say file:PATH") {
		t.Errorf("without the program: %v", err)
	}
}
