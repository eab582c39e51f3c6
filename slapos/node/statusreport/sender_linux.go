package statusreport

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/proto/nodereport"
)

const (
	resendEvery = 5 * time.Minute // an unchanged report is sent again
	refused     = time.Hour       // and a master that does not know the method is asked again
)

// A Supervisor says how programs are; *supervise.Client is one.
type Supervisor interface {
	Status(ctx context.Context, names ...string) ([]supervise.Status, error)
}

// A Sender tells a master what runs.
type Sender struct {
	Master interface { // *client.Client is one
		ReportNode(ctx context.Context, n *nodereport.Report) error
	}
	Supervisor Supervisor
	Computer   string // its ID
	// directory of the partitions; the last report is kept in its var/hostler
	InstanceRoot string
	Now          func() time.Time // nil: time.Now
}

// lastReport is the stored state of the last report.
type lastReport struct {
	Computer string    `json:"computer"`
	At       time.Time `json:"at"`      // when the master took it
	Sum      string    `json:"sum"`     // of what counts as a change
	Refused  time.Time `json:"refused"` // when the master did not know the method
}

// Send tells the master what runs in partitions (nil: see [Sender.Report]), if there is something
// new to tell; told says whether there was, and it was taken. No pass should fail for its error.
func (t *Sender) Send(ctx context.Context, partitions []string) (told bool, err error) {
	now := time.Now()
	if t.Now != nil {
		now = t.Now()
	}
	was := t.remembered()
	if was.Computer == t.Computer && recent(was.Refused, now, refused) {
		return false, nil
	}
	n, err := t.Report(ctx, partitions)
	if err != nil {
		return false, err
	}
	is := lastReport{Computer: t.Computer, At: now.UTC(), Sum: sum(n)}
	if was.Computer == is.Computer && was.Sum == is.Sum && recent(was.At, now, resendEvery) {
		return false, nil
	}
	t.hours(n, now)
	err = t.Master.ReportNode(ctx, n)
	if told = err == nil; errors.Is(err, client.ErrNotFound) {
		is, err = lastReport{Computer: t.Computer, Refused: now.UTC()}, nil
	}
	if err != nil {
		return false, err
	}
	return told, t.remember(is)
}

// recent says that something was within a while before now; a clock that was set back makes it long
// ago.
func recent(at, now time.Time, while time.Duration) bool {
	return !at.IsZero() && !now.Before(at) && now.Sub(at) < while
}

// sum is another one when something has changed that should be told at once: not how much is used,
// nor when a promise was kept last.
func sum(n *nodereport.Report) string {
	h := sha256.New()
	for _, p := range n.Partitions {
		fmt.Fprintf(h, "%q\n", p.ID)
		for _, s := range p.Processes {
			fmt.Fprintf(h, "%q %q %d %s\n", s.Name, s.State, s.PID, s.Started)
		}
		for _, s := range p.Promises {
			fmt.Fprintf(h, "%q %t\n", s.Name, s.Failed)
			if s.Failed {
				fmt.Fprintf(h, "%q\n", s.Text)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (t *Sender) file() string { return filepath.Join(t.InstanceRoot, "var/hostler/told.json") }

// remembered is the last report; an unreadable one was not sent.
func (t *Sender) remembered() (s lastReport) {
	text, err := os.ReadFile(t.file())
	if err != nil || json.Unmarshal(text, &s) != nil {
		return lastReport{}
	}
	return s
}

// remember writes s by a rename, so the file is never half written.
func (t *Sender) remember(s lastReport) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(t.file()), 0o700); err != nil {
		return err
	}
	temp := fmt.Sprintf("%s.%d.tmp", t.file(), os.Getpid())
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		_ = os.Remove(temp)
		return err
	}
	return os.Rename(temp, t.file())
}
