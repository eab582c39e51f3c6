package deploycmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/google/renameio/v2"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/run/junit"
)

// reports writes and prints the reports that were asked for.
func (d *deploying) reports(ctx context.Context, nodes []*deploy.Node) error {
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
			err = writeFile(a, "--description-file", o.description, append(text, '\n'))
		}
		errs = append(errs, err)
	}
	if o.report != "" {
		var b bytes.Buffer
		err := junit.Write(&b, deploy.JUnit(nodes, d.show.mask))
		if err == nil {
			err = writeFile(a, "--junit", o.report, b.Bytes())
		}
		errs = append(errs, err)
	}
	if !o.old {
		errs = append(errs, d.printed(ctx, nodes, views))
	}
	return errors.Join(errs...)
}

// writeFile writes the whole file of an option, or standard output for "-".
func writeFile(a *cli.App, option, name string, data []byte) error {
	if name == "-" {
		_, err := a.Out.Write(data)
		return err
	}
	return term.FileError(option, name, renameio.WriteFile(name, data, 0o644))
}
