package runcmd

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/run"
)

// envFlags say which variables a command has.
type envFlags struct {
	env     []string
	files   []string
	secrets []string
}

// flags declares the options about the command's environment.
func (o *envFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVarP(&o.env, "env", "e", nil, "set `NAME=VALUE` there, or send the value of NAME here; may be repeated")
	f.StringArrayVar(&o.files, "env-file", nil, "set the variables of `FILE` there, lines of NAME=VALUE; may be repeated")
	f.StringArrayVar(
		&o.secrets, "secret", nil,
		"send the variable `NAME`, or NAME=REFERENCE (env:, file:, command:), whose value is not recorded; may be repeated",
	)
	_ = cmd.MarkFlagFilename("env-file")
}

// environment reads variables from files and secrets. No error has their values.
func (o *envFlags) environment(ctx context.Context, allow []string) (run.Environment, error) {
	e := run.Environment{Allow: allow, Given: o.env, Set: map[string]string{}}
	for _, name := range o.files {
		f, err := os.ReadFile(name)
		if err != nil {
			return e, fault.Invalid("", "--env-file: %v", err)
		}
		if err := run.ParseEnv(string(f), e.Set); err != nil {
			return e, fault.Invalid("lines of NAME=VALUE; a value may stand in quotes", "--env-file %s: %v", name, err)
		}
	}
	for i, s := range o.secrets {
		name, ref, given := strings.Cut(s, "=")
		switch {
		case name == "":
			return e, fault.Invalid("--secret NAME=file:PATH", "--secret: the %s has no name", ordinal(i+1))
		case given && !config.IsReference(ref):
			return e, fault.Invalid(
				"--secret "+name+"=file:PATH, or env:NAME, or command:WORDS",
				"--secret %s: what it is set to is no reference; a value would be seen by everybody on this machine",
				name,
			)
		case !given:
			ref = "env:" + name
		}
		value, err := config.Secret(ctx, ref)
		if err != nil {
			return e, fault.Invalid("", "--secret %s: %v", name, err)
		}
		if strings.ContainsRune(value, 0) {
			return e, fault.Invalid("", "--secret %s: a NUL cannot be in a variable", name)
		}
		e.Set[name] = value
		e.Hide = append(e.Hide, value)
	}
	return e, nil
}

// warnUnset names the variables that are to go along and are not here.
func (o *envFlags) warnUnset(a *cli.App) {
	for _, name := range o.env {
		if _, here := os.LookupEnv(name); !here && name != "" && !strings.Contains(name, "=") && !a.Quiet {
			a.Warn("-e %s: there is no such variable here, so it does not go along", term.Line(name))
		}
	}
}

func ordinal(n int) string {
	if n == 1 {
		return "first"
	}
	return fmt.Sprintf("%dth", n)
}
