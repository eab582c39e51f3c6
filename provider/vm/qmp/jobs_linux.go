package qmp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// ignoreShared makes qemu leave the memory that is a file out of the saved state, on both sides.
func (m *Monitor) ignoreShared(ctx context.Context) error {
	return m.Do(
		ctx, "migrate-set-capabilities",
		map[string]any{"capabilities": []any{map[string]any{"capability": "x-ignore-shared", "state": true}}}, nil,
	)
}

// Save saves the state of a running machine, but for its memory, and halts it. A copy comes
// back running; a machine that was halted before would come back halted.
func Save(ctx context.Context, dir, path string) error {
	m, err := Open(ctx, dir)
	if err != nil {
		return err
	}
	defer m.Close()
	m.Patience(ctx, 5*time.Minute)
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	err = m.ignoreShared(ctx)
	if err == nil {
		err = m.Do(ctx, "migrate-set-parameters", map[string]any{"max-bandwidth": int64(10e9)}, nil)
	}
	if err == nil {
		err = m.hand(ctx, "state", w)
	}
	_ = w.Close()
	if err == nil {
		err = m.Do(ctx, "migrate", map[string]any{"uri": "fd:state"}, nil)
	}
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_ = r.SetReadDeadline(Deadline(ctx, 5*time.Minute))
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	for {
		var s struct {
			Status string `json:"status"`
			Desc   string `json:"error-desc"`
		}
		if err := m.Do(ctx, "query-migrate", nil, &s); err != nil {
			return err
		}
		switch s.Status {
		case "completed":
			return nil
		case "failed", "cancelled":
			return errors.New(s.Status + " " + s.Desc)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Restore gives the saved state to a qemu that waits for it. The machine is halted then.
func Restore(ctx context.Context, dir, path string) error {
	m, err := Open(ctx, dir)
	if err != nil {
		return err
	}
	defer m.Close()
	state, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	err = m.ignoreShared(ctx)
	if err == nil {
		err = m.hand(ctx, "state", r)
	}
	_ = r.Close()
	if err == nil {
		err = m.Do(ctx, "migrate-incoming", map[string]any{"uri": "fd:state"}, nil)
	}
	if err != nil {
		return err
	}
	_ = w.SetWriteDeadline(Deadline(ctx, 20*time.Second))
	if _, err := w.Write(state); err != nil {
		return err
	}
	_ = w.Close()
	for {
		status, err := m.Status(ctx)
		if err != nil || status == "paused" {
			return err
		}
		if status != "inmigrate" {
			return errors.New("qemu says that the machine is " + status)
		}
		time.Sleep(500 * time.Microsecond)
	}
}

// AwaitCopy waits until a copy job has copied all, and ends it.
func (m *Monitor) AwaitCopy(ctx context.Context, id string) error {
	for ended := false; ; {
		var jobs []struct {
			ID, Status, Error string
		}
		if err := m.Do(ctx, "query-jobs", nil, &jobs); err != nil {
			return err
		}
		if len(jobs) != 1 || jobs[0].ID != id {
			return fmt.Errorf("qemu has no job %s any more", id)
		}
		switch job := jobs[0]; {
		case job.Status == "concluded" && (job.Error != "" || !ended):
			return fmt.Errorf("qemu: %s", job.Error)
		case job.Status == "concluded":
			return m.Do(ctx, "job-dismiss", map[string]any{"id": id}, nil)
		case job.Status == "ready" && !ended:
			// the copy is complete, and must not take the disk's place
			ended = true
			if err := m.Do(ctx, "block-job-cancel", map[string]any{"device": id}, nil); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
