package usercmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/console"
)

func NewConsole(s *session.Session) *cobra.Command {
	var master, key, certificate string
	cmd := &cobra.Command{
		Use:   "console [SCRIPT [ARGUMENT...]]",
		Short: "Type request(), supply() and the like at a prompt",
		Long: `Read lines like those of SlapOS's Python console from standard input or a file, and do what they say:

  supply(URL, "COMP-1")
  mydemo = request(URL, "mydemo", partition_parameter_kw={"port": "80"}, filter_kw={"computer_guid": "COMP-1"})
  mydemo.getState()
  print("it says", mydemo.getConnectionParameterDict())

URL is a text, an alias of [slapconsole], or product.NAME. Values are written as in Python, and names can be given to them; there is no other Python. What follows SCRIPT is
the script's own: sys.argv[1] is the first of it, and sys.argv[0] SCRIPT, where - is standard input. At a prompt errors are told and it
goes on; of a file, or of what is no terminal, the first one ends it.`,
		Example: "  hostler slapos console\n  hostler slapos console deploy.txt COMP-1\n  echo 'supply(demo, \"COMP-1\")' | hostler slapos console",
		Args:    cobra.ArbitraryArgs,
		RunE: s.RunE(func(ctx context.Context, args []string) error {
			if master != "" {
				s.Settings = &cfg.Client{Master: master, CertFile: certificate, KeyFile: key}
			}
			return runConsole(ctx, s, args)
		}),
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // the words after the script belong to it
	f.StringVarP(&master, "master-url", "u", "", "speak to the master at `URL`, and read no configuration")
	f.StringVarP(&key, "key-file", "k", "", "with --master-url: the key is in `FILE`")
	f.StringVarP(&certificate, "cert-file", "c", "", "with --master-url: the certificate is in `FILE`")
	for name, short := range map[string]string{"ipython": "i", "bpython": "b", "python": "p"} {
		f.BoolP(name, short, false, "as always: hostler's own")
		_ = f.MarkHidden(name)
	}
	return cmd
}

// runConsole reads and runs lines.
func runConsole(ctx context.Context, s *session.Session, args []string) error {
	settings, err := s.Configuration()
	if err != nil {
		return err
	}
	client, err := s.Master()
	if err != nil {
		return err
	}
	m := &console.Master{Client: client, Release: s.Release, Out: s.App.Out}
	c := &console.Console{Names: m.Names(args)}
	for _, a := range settings.Aliases {
		if _, taken := c.Names[a.Name]; !taken {
			c.Names[a.Name] = a.URL
		}
	}
	in, o := s.App.In, console.ReadOptions{Name: "standard input", Show: m.Show}
	switch {
	case len(args) == 0 && term.IsTerminal(in):
		o.Prompt = func(goesOn bool) {
			_ = term.Printf(s.App.Err, "%s", map[bool]string{false: ">>> ", true: "... "}[goesOn])
		}
		o.Failed = func(err error) { s.App.Tell(session.Hinted(err)) }
	case len(args) > 0 && args[0] != "-":
		f, err := os.Open(args[0])
		if err != nil {
			return fault.Invalid("", "%w", err)
		}
		defer f.Close()
		in, o.Name = f, args[0]
	}
	return c.Read(ctx, in, o)
}
