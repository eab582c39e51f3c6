package slaposcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/proto"
	slapclient "github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/proto/hypermedia"
)

// The exit statuses of SlapOS's commands beside 0, 1 (failed) and 2 (usage).
const (
	// the request was taken but has no result yet, or the master does not know the name
	slaposNotYet  = 2
	slaposUnknown = 5 // no such command
)

// Slapos has what the commands of SlapOS share.
type Slapos struct {
	A        *cli.App
	file     string // --cfg
	logFile  string
	writing  sync.Mutex // for writing messages
	verbose  bool
	insecure bool

	settings *cfg.Client
	client   *slapclient.Client
}

// NewSlapos returns SlapOS's commands, below hostler slapos.
func NewSlapos(a *cli.App) *cobra.Command {
	s := &Slapos{A: a}
	cmd := &cobra.Command{
		Use:   "slapos",
		Short: "Speak to a SlapOS master: request software, say where it is to be, look what there is",
		Long: `SlapOS's own commands, with its files, output and exit statuses; hostler called by the name slapos (hostler compat install makes the link) takes the same. docs/slapos-commands.md has more.

They read the file --cfg, else $SLAPOS_CLIENT_CONFIGURATION, else ~/.slapos/slapos-client.cfg. What they do and what came of it is said on standard error; what was asked for is printed on
standard output, with --json as documents of docs/json.md.

Exit status: 0 done, 1 failed, 2 usage, or not ready yet, or not known to the master, 5 no such command.`,
		Example: "  hostler slapos supply https://software.example/demo/software.cfg COMP-1\n  hostler slapos request mydemo https://software.example/demo/software.cfg --node computer_guid=COMP-1",
		Args:    cobra.ArbitraryArgs,
		RunE:    s.group,
	}
	s.options(cmd.PersistentFlags())
	_ = cmd.MarkPersistentFlagFilename("cfg")
	_ = cmd.MarkPersistentFlagFilename("log-file")
	cmd.AddCommand(
		newSlaposProxy(s), newSlaposRequest(s), newSlaposSupply(s), newSlaposRemove(s), newSlaposService(s),
		newSlaposComputer(s), newSlaposUser(s), newSlaposConfigure(s), newSlaposNode(s), newSlaposConsole(s),
		newSlaposCache(s), newSlaposStandalone(s), newSlaposComplete(s),
	)
	cmd.SetGlobalNormalizationFunc(dashed)
	return cmd
}

// options declares the options of all commands.
func (s *Slapos) options(f *pflag.FlagSet) {
	f.StringVar(&s.file, "cfg", "", "read `FILE` ($SLAPOS_CLIENT_CONFIGURATION or ~/.slapos/slapos-client.cfg)")
	f.StringVar(&s.logFile, "log-file", "", "append what is said on standard error to `FILE` too")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "say more on standard error")
	f.BoolVar(&s.insecure, "insecure", false, "take any certificate of the master's, as SlapOS's own client does")
	f.Bool("log-color", false, "as always: lines of text without colours")
	f.Bool("log-time", true, "as always: with the time")
	for _, name := range []string{"log-color", "log-time"} {
		_ = f.MarkHidden(name)
	}
}

// dashed accepts _ for - in options, and --logfile for --log-file.
func dashed(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if name = strings.ReplaceAll(name, "_", "-"); name == "logfile" {
		name = "log-file"
	}
	return pflag.NormalizedName(name)
}

// do returns a command's function. It runs f until a signal comes, reports its errors, and returns
// SlapOS's exit statuses.
func (s *Slapos) do(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx, stop := s.A.UntilSignal(cmd.Context())
		defer stop()
		err := s.A.Interrupted(f(ctx, args), "")
		if s.client != nil {
			s.client.Close()
		}
		var told term.Exit
		var ended *term.Interruption
		if err == nil || errors.As(err, &told) || errors.As(err, &ended) {
			return err
		}
		n := 1
		if errors.Is(err, compute.ErrInvalid) || errors.Is(err, slapclient.ErrNotReady) {
			n = 2
		}
		s.fail(s.hinted(err))
		return term.Exit(n)
	}
}

// fail reports an error, also to the log file.
func (s *Slapos) fail(err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.A.Tell(err)
	for _, e := range api.Apart(err) {
		s.record(stamped("ERROR", term.ErrorText(e)))
	}
}

// hinted gives the client's errors hostler's kinds, with hints.
func (s *Slapos) hinted(err error) error {
	var ours *compute.Error
	if errors.As(err, &ours) {
		return err
	}
	e := &compute.Error{Kind: compute.ErrFailed, Err: err}
	switch {
	case errors.Is(err, slapclient.ErrNotFound):
		e.Kind = compute.ErrNotFound
	case errors.Is(err, slapclient.ErrDenied):
		e.Kind, e.Hint = compute.ErrDenied, "cert_file and key_file say to the master who asks"
	case errors.Is(err, slapclient.ErrUntrusted):
		e.Kind, e.Hint = compute.ErrDenied, "master_ca_file in [slapos] names who signs the master's certificate; --insecure takes any"
	case errors.Is(err, slapclient.ErrUnreachable):
		e.Kind, e.Hint = compute.ErrUnavailable, "is master_url right, and does the master run?"
	case errors.Is(err, proto.ErrUnwritable):
		e.Kind = compute.ErrInvalid
	}
	return e
}

// path returns the client's configuration file.
func (s *Slapos) path() (string, error) {
	if s.file != "" {
		return s.file, nil
	}
	if path := os.Getenv("SLAPOS_CLIENT_CONFIGURATION"); path != "" {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".slapos", "slapos-client.cfg"), nil
}

// Configuration reads the client's configuration file once.
func (s *Slapos) Configuration() (*cfg.Client, error) {
	if s.settings != nil {
		return s.settings, nil
	}
	path, err := s.path()
	if err != nil {
		return nil, err
	}
	f, err := cfg.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Invalid("hostler slapos configure client makes it; --cfg FILE names another", "there is no %s", path)
	} else if err != nil {
		return nil, fault.Invalid("", "%w", err)
	}
	for _, note := range f.Unknown() {
		s.Note("%s", note)
	}
	if s.settings, err = f.Client(); err != nil {
		return nil, fault.Invalid("", "%w", err)
	}
	return s.settings, nil
}

// master returns a client of the master that the file names.
func (s *Slapos) master() (*slapclient.Client, error) {
	if s.client != nil {
		return s.client, nil
	}
	c, err := s.Configuration()
	if err != nil {
		return nil, err
	}
	s.client, err = slapclient.New(slapclient.Options{
		URL: c.Master, RestURL: c.Rest, CertFile: c.CertFile, KeyFile: c.KeyFile, CAFile: c.CAFile, Insecure: s.insecure,
	})
	if err != nil {
		return nil, fault.Invalid("", "%w", err)
	}
	return s.client, nil
}

// release returns the URL of a software release. text is a URL, an alias of the configuration, or
// product.NAME for the product's best release.
func (s *Slapos) release(ctx context.Context, text string) (string, error) {
	c, err := s.Configuration()
	if err != nil {
		return "", err
	}
	text = c.Release(text)
	product, ok := strings.CutPrefix(text, "product.")
	if !ok || strings.ContainsAny(product, "/:") {
		return text, nil
	}
	master, err := s.master()
	if err != nil {
		return "", err
	}
	all, err := master.Releases(ctx, product)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", &compute.Error{Kind: compute.ErrNotFound, Err: fmt.Errorf("the master knows no release of a product %q", product)}
	}
	s.Note("%s is %s", text, all[0])
	return all[0], nil
}

// Say reports progress, Warn something odd, and Note a detail.
func (s *Slapos) Say(format string, args ...any) {
	if !s.A.Quiet && !s.A.JSON {
		s.line("INFO", format, args)
	}
}

func (s *Slapos) Warn(format string, args ...any) { s.line("WARNING", format, args) }

func (s *Slapos) Note(format string, args ...any) {
	if s.verbose || s.A.Debug {
		s.line("DEBUG", format, args)
	}
}

// line writes a line of the log, as SlapOS's own commands do.
func (s *Slapos) line(level, format string, args []any) {
	_, _ = s.Write(stamped(level, fmt.Sprintf(format, args...)))
}

// stamped formats a line of the log.
func stamped(level, text string) []byte {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, term.Line(line))
	}
	return fmt.Appendf(
		nil, "%s slapos[%d] %s %s\n", time.Now().Format("2006-01-02 15:04:05"), os.Getpid(), level,
		strings.Join(lines, "\n"),
	)
}

// Write writes a message to standard error, and to the log file if there is one.
func (s *Slapos) Write(text []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	n, bad := s.A.Err.Write(text)
	if s.logFile == "" {
		return n, bad
	}
	s.record(text)
	return len(text), nil
}

// record appends to the log file, if there is one. The caller holds writing.
func (s *Slapos) record(text []byte) {
	if s.logFile == "" {
		return
	}
	f, err := os.OpenFile(s.logFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err == nil {
		_, err = f.Write(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		_ = term.Printf(s.A.Err, "%s: --log-file: %s\n", s.A.Program, term.ErrorText(err))
		s.logFile = ""
	}
}

// aliases returns the aliases of the configuration, for completion.
func (s *Slapos) aliases() (out cli.Candidates) {
	c, err := s.Configuration()
	if err != nil {
		return nil
	}
	for _, a := range c.Aliases {
		out = append(out, cobra.CompletionWithDesc(a.Name, a.URL))
	}
	return out
}

// slaposPatience is how long completion waits for the master.
const slaposPatience = 3 * time.Second

// found returns candidates for completion: a field of all objects of a kind, described by another
// field.
func (s *Slapos) found(cmd *cobra.Command, kind, field, beside string) (out cli.Candidates) {
	if s.A.Begin(cmd) != nil {
		return nil
	}
	master, err := s.master()
	if err != nil {
		return nil
	}
	defer master.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), slaposPatience)
	defer cancel()
	all, err := master.Hypermedia().Search(ctx, hypermedia.Query{Kind: kind}, field, beside)
	if err != nil {
		return nil
	}
	for _, thing := range all {
		name, _ := thing[field].(string)
		more, _ := thing[beside].(string)
		out = append(out, cobra.CompletionWithDesc(name, more))
	}
	return out
}

func (s *Slapos) computers(cmd *cobra.Command) cli.Candidates {
	return s.found(cmd, computerKind, "reference", "title")
}

// releases returns the aliases and the requested software, for completion. If title is not "", only
// the instance of that title counts.
func (s *Slapos) releases(cmd *cobra.Command, title string) cli.Candidates {
	out := s.aliases()
	seen := map[string]bool{}
	for _, pair := range s.found(cmd, treeKind, "url_string", "title") {
		url, of, _ := strings.Cut(pair, "\t")
		if title == of && title != "" {
			return cli.Candidates{url}
		}
		if url != "" && !seen[url] {
			seen[url] = true
			out = append(out, url)
		}
	}
	return out
}

func (s *Slapos) services(cmd *cobra.Command) cli.Candidates {
	return s.found(cmd, treeKind, "title", "url_string")
}
