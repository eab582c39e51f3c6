package nodecmd

import (
	"fmt"
	"io"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// programView is one of the list that `slapos node status --json` prints.
type programView struct {
	Group    string    `json:"group"`
	Name     string    `json:"name"`
	State    string    `json:"state"`
	PID      int       `json:"pid,omitempty"`
	Since    time.Time `json:"since"`
	Exit     string    `json:"exit,omitempty"`
	Error    string    `json:"error,omitempty"`
	Restarts int       `json:"restarts,omitempty"`
	Log      string    `json:"log,omitempty"`
}

func programViews(programs []supervise.Status) []programView {
	views := make([]programView, len(programs))
	for i, p := range programs {
		views[i] = programView{p.Group, p.Name, string(p.State), p.PID, p.Since, p.Exit, p.Error, p.Restarts, p.Log}
	}
	return views
}

// printPrograms prints lines as supervisorctl does.
func printPrograms(w io.Writer, programs []supervise.Status, now time.Time) error {
	width := 32
	for _, p := range programs {
		width = max(width, len(term.Line(p.FullName())))
	}
	for _, p := range programs {
		about := p.Since.Local().Format("Jan 02 03:04 PM")
		switch p.State {
		case supervise.Running:
			up := now.Sub(p.Since).Round(time.Second)
			about = fmt.Sprintf("pid %d, uptime %d:%02d:%02d", p.PID, int(up.Hours()), int(up.Minutes())%60, int(up.Seconds())%60)
			if days := int(up.Hours()) / 24; days > 0 {
				about = fmt.Sprintf(
					"pid %d, uptime %d days, %d:%02d:%02d", p.PID, days, int(up.Hours())%24, int(up.Minutes())%60,
					int(up.Seconds())%60,
				)
			}
		case supervise.Backoff:
			about = "Exited too quickly: " + p.Exit
		case supervise.Fatal:
			about = p.Error
		}
		if err := term.Printf(w, "%-*s %-9s %s\n", width, term.Line(p.FullName()), p.State, term.Line(about)); err != nil {
			return err
		}
	}
	return nil
}
