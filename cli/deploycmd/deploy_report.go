package deploycmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/run/junit"
)

// reports writes and prints the reports that were asked for.
func (d *deploying) reports(nodes []*deploy.Node) error {
	if len(nodes) == 0 {
		return nil
	}
	a, o := d.app, d.opt
	var errs []error
	var descriptions []deploy.Description
	views := make([]NodeView, 0, len(nodes))
	for _, n := range nodes {
		v := d.view(n)
		views = append(views, v)
		if n.State == deploy.Done || n.State == deploy.Failed {
			descriptions = append(descriptions, v.Description)
		}
	}
	if o.description != "" && len(descriptions) > 0 {
		var what any = descriptions
		if len(d.names) == 1 {
			what = descriptions[0]
		}
		text, err := json.MarshalIndent(what, "", "  ")
		if err == nil {
			err = writeFile(a, o.description, append(text, '\n'))
		}
		errs = append(errs, err)
	}
	if o.report != "" {
		var b bytes.Buffer
		err := junit.Write(&b, deploy.JUnit(nodes, d.show.mask))
		if err == nil {
			err = writeFile(a, o.report, b.Bytes())
		}
		errs = append(errs, err)
	}
	switch {
	case o.old:
	case a.JSON:
		errs = append(errs, a.PrintJSON(views))
	default:
		for _, v := range views {
			if v.Status == string(deploy.Done) {
				words := []string{v.Name, v.Instance}
				for _, address := range append(v.PublicIP, v.PrivateIP...) {
					words = append(words, term.Line(address))
				}
				errs = append(errs, term.Printf(a.Out, "%s\n", strings.Join(words, " ")))
			}
		}
	}
	return errors.Join(errs...)
}

// writeFile writes a whole file, or standard output for "-".
func writeFile(a *cli.App, name string, data []byte) error {
	if name == "-" {
		_, err := a.Out.Write(data)
		return err
	}
	if err := renameio.WriteFile(name, data, 0o644); err != nil {
		return &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("%s is not written: %w", name, err)}
	}
	return nil
}
