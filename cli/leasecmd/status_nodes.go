package leasecmd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/client"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

// nodesShown bounds the computers of a SlapOS master that are shown, as each takes a request.
const nodesShown = 100

// slapNodeView is a computer of the controller's SlapOS master in `status -v --json`.
type slapNodeView struct {
	Computer   string     `json:"computer"`
	Partitions int        `json:"partitions"`
	Busy       int        `json:"busy"`
	Programs   int        `json:"programs"`
	Running    int        `json:"running"`
	Promises   int        `json:"promises"`
	Failed     int        `json:"failed"`
	Told       *time.Time `json:"told"`
	Problems   []string   `json:"problems"`
}

// slapNodes returns the computers of the controller's SlapOS master, if it has one and the user may
// see them.
func slapNodes(a *cli.App, ctx context.Context) (views []slapNodeView, more bool, err error) {
	if !a.Self().Slap {
		return nil, false, nil
	}
	var slap client.SlapOS = a.Remote.SlapOS()
	page, err := slap.Computers(ctx, "", api.SlapPage{Limit: nodesShown})
	if err != nil {
		return nil, false, err
	}
	for _, c := range page.Computers {
		detail, err := slap.Computer(ctx, c.Computer)
		if err != nil {
			return nil, false, err
		}
		views = append(views, viewSlapNode(&detail))
	}
	return views, page.Next != "", nil
}

// viewSlapNode counts what runs on a SlapOS node, and lists what does not run as it should.
func viewSlapNode(c *api.SlapComputerDetail) slapNodeView {
	v := slapNodeView{Computer: c.Computer, Partitions: c.Partitions, Busy: c.Busy, Told: c.Told, Problems: []string{}}
	for _, slot := range c.Slots {
		for _, p := range slot.Programs {
			if v.Programs++; p.State == "RUNNING" {
				v.Running++
			} else if p.State == "FATAL" || p.State == "BACKOFF" || p.State == "EXITED" && strings.HasSuffix(p.Name, "-on-watch") {
				// others may end the list
				v.Problems = append(v.Problems, fmt.Sprintf("%s:%s %s", slot.Partition, p.Name, p.State))
			}
		}
		for _, p := range slot.Promises {
			if v.Promises++; p.Failed {
				v.Failed++
				v.Problems = append(v.Problems, fmt.Sprintf("%s: promise %s failed: %s", slot.Partition, p.Name, p.Text))
			}
		}
	}
	return v
}

// statusNodes prints these computers, with the problems of each in lines below.
func statusNodes(a *cli.App, ctx context.Context) error {
	views, more, err := slapNodes(a, ctx)
	if err != nil || len(views) == 0 {
		return err
	}
	rows := make([][]string, len(views))
	var problems []string
	for i, v := range views {
		told := "never"
		if v.Told != nil {
			told = term.ShortDuration(time.Since(*v.Told)) + " ago"
		}
		rows[i] = []string{
			term.Line(v.Computer), fmt.Sprintf("%d of %d", v.Busy, v.Partitions),
			fmt.Sprintf("%d of %d", v.Running, v.Programs), strconv.Itoa(v.Failed) + " of " + strconv.Itoa(v.Promises),
			told,
		}
		for _, p := range v.Problems {
			problems = append(problems, term.Line(v.Computer+" "+p))
		}
	}
	if err := term.Printf(a.Out, "\n"); err != nil {
		return err
	}
	if err := a.Table([]string{"computer", "in-use", "running", "failed-promises", "told"}, rows); err != nil {
		return err
	}
	if more {
		problems = append(problems, "there are more computers: the page has them all")
	}
	for _, p := range problems {
		if err := term.Printf(a.Out, "%s\n", p); err != nil {
			return err
		}
	}
	return nil
}
