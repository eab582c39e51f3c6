package program

import (
	"bytes"
	"context"
	"errors"
	"strings"
)

// MigrateWord is the first argument of the process of Whole that does what Migrate says. The second
// is the path.
const MigrateWord = "state-migrate"

// Migrate has Whole bring the state file of an older hostler to the present format.
func Migrate(ctx context.Context, path string) error {
	_, err := ask(ctx, nil, MigrateWord, path)
	return err
}

// ask has a process of Whole read in, and returns what it prints. If it fails, the error is what it
// says of that.
func ask(ctx context.Context, in []byte, args ...string) ([]byte, error) {
	cmd, err := Command(ctx, args...)
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &said
	out, err := cmd.Output()
	if text := strings.TrimSpace(said.String()); err != nil && text != "" {
		err = errors.New(text)
	}
	return out, err
}
