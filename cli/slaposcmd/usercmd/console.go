package usercmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/console"
	"github.com/hostler-project/hostler/slapos/proto"
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

// console reads and runs lines.
func runConsole(ctx context.Context, s *session.Session, args []string) error {
	settings, err := s.Configuration()
	if err != nil {
		return err
	}
	if _, err := s.Master(); err != nil {
		return err
	}
	p := &prompt{s}
	c := &console.Console{Names: map[string]any{
		"request": console.Func(p.request), "supply": console.Func(p.supply), "product": consoleProducts{},
		"getInformation": console.Func(p.information),
		"sys":            consoleSystem(args), "print": console.Func(p.print), "help": console.Func(p.help),
	}}
	for _, a := range settings.Aliases {
		if _, taken := c.Names[a.Name]; !taken {
			c.Names[a.Name] = a.URL
		}
	}
	in, name, asks := s.App.In, "standard input", term.IsTerminal(s.App.In)
	if len(args) > 0 && args[0] == "-" {
		asks = false
	} else if len(args) > 0 {
		f, err := os.Open(args[0])
		if err != nil {
			return fault.Invalid("", "%w", err)
		}
		defer f.Close()
		in, name, asks = f, args[0], false
	}
	lines, failed := consoleLines(ctx, in)
	text, n := "", 0
	for {
		if asks {
			_ = term.Printf(s.App.Err, "%s", map[bool]string{true: ">>> ", false: "... "}[text == ""])
		}
		var line string
		var more bool
		select {
		case line, more = <-lines:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !more {
			if err := <-failed; err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if text == "" {
				return nil
			}
		}
		if more {
			n++
			text += line + "\n"
		}
		if word := strings.TrimSpace(text); asks && (word == "exit()" || word == "quit()" || word == "exit" || word == "quit") {
			return nil
		}
		if asks && strings.TrimSpace(text) == "help" {
			text = "help()"
		}
		v, err := c.Run(ctx, text)
		if more && errors.Is(err, console.ErrIncomplete) {
			continue
		}
		text = ""
		if err == nil && v != nil {
			err = p.show(v)
		}
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case asks:
			s.App.Tell(session.Hinted(err))
		default:
			return fmt.Errorf("%s, line %d: %w", name, n, err)
		}
	}
}

// consoleLines returns the lines of a file, and then the error that ended them. A goroutine reads
// them, since only input ends a read from a terminal. After a signal, it ends with the process.
func consoleLines(ctx context.Context, in io.Reader) (<-chan string, <-chan error) {
	lines, failed := make(chan string), make(chan error, 1)
	go func() {
		defer close(lines)
		defer close(failed) // before lines is
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, proto.MaxSize)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
		failed <- scanner.Err()
	}()
	return lines, failed
}
