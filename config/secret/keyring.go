package secret

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
)

// keyringService is the service name of the program's secrets in a keyring.
const keyringService = "hostler"

// keyringProgram returns the command that reads a name from this machine's keyring, and the command
// for people to store it.
func keyringProgram(system, name string) (words []string, put string) {
	if system == "darwin" {
		return []string{"security", "find-generic-password", "-s", keyringService, "-a", name, "-w"},
			fmt.Sprintf("security add-generic-password -s %s -a %s -w", keyringService, name)
	}
	return []string{"secret-tool", "lookup", "service", keyringService, "name", name},
		fmt.Sprintf("secret-tool store --label 'hostler %s' service %s name %s", name, keyringService, name)
}

// Keyring returns a name's entry of the service hostler in the user's keyring. It asks the system's
// program, and at most so many bytes are read.
func Keyring(ctx context.Context, name string, most int) ([]byte, error) {
	if name == "" {
		return nil, errors.New("names nothing")
	}
	words, put := keyringProgram(runtime.GOOS, name)
	if _, err := exec.LookPath(words[0]); err != nil {
		return nil, fmt.Errorf(
			"the program %s, which asks the keyring, is not here; say file:PATH or command:WORDS where there is no keyring",
			words[0],
		)
	}
	out, err := output(ctx, words, most)
	if ctx.Err() != nil {
		return nil, err
	}
	if err != nil || len(out) == 0 {
		why := "the keyring has nothing under that name"
		if err != nil {
			why = fmt.Sprintf("the keyring has nothing under that name, or is not open: %v", err)
		}
		return nil, fmt.Errorf("%s; this puts it there: %s", why, put)
	}
	return out, nil
}
