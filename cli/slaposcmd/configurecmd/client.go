package configurecmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/configure"
	"github.com/hostler-project/hostler/slapos/enrol"
)

// configuredView is `slapos configure client --json`.
type configuredView struct {
	Config      string `json:"config"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// NewConfigure returns the commands that make configuration files.
func NewConfigure(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "configure",
		Short:   "Make the configuration of the commands",
		Example: "  hostler slapos configure client --master-url https://slap.example.com --master-url-web https://slapos.example.com",
		Args:    cobra.ArbitraryArgs,
		RunE:    s.Group,
	}
	var master, token, ca string
	web := enrol.Web{}
	client := &cobra.Command{
		Use:   "client",
		Short: "Get a certificate from the master, and write the file that the commands read",
		Long: `Get a certificate with a token, which the master's web page gives, and write the configuration (--cfg, or where the other commands look for it) with client.crt and client.key beside it. The
token is read from standard input, where it is not given; --token shows it to others on this machine. What is there already is left alone.`,
		Example: "  hostler slapos configure client --master-url https://slap.example.com --master-url-web https://slapos.example.com <token.txt",
		Args:    cobra.NoArgs,
		RunE: s.RunE(func(ctx context.Context, _ []string) error {
			web.Token = token
			return configureClient(ctx, s, master, ca, &web)
		}),
	}
	f := client.Flags()
	f.StringVar(&master, "master-url", "", "the master is at `URL`")
	f.StringVar(&web.URL, "master-url-web", "", "its web side is at `URL`")
	f.StringVar(&token, "token", "", "the `TOKEN` that the web page gave; read from standard input unless it is said")
	f.StringVar(
		&ca, "master-ca-file", "",
		"the authority in `FILE` signs what the master and its web side show; those of this machine unless it is said",
	)
	_ = client.MarkFlagFilename("master-ca-file")
	_ = client.MarkFlagRequired("master-url")
	_ = client.MarkFlagRequired("master-url-web")
	cmd.AddCommand(client, newLocal(s))
	return cmd
}

// configureClient asks for a certificate and writes the client's files. It first checks that they
// can be written, as a token works once.
func configureClient(ctx context.Context, s *session.Session, master, ca string, web *enrol.Web) error {
	path, err := s.ClientFile()
	if err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	v := configuredView{path, filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key")}
	if err := configure.OneLine(master); err != nil {
		return fault.Invalid("", "--master-url: %w", err)
	}
	if ca, web.HTTP, err = trusting(ca); err != nil {
		return err
	}
	for _, file := range []string{v.Config, v.Certificate, v.Key} {
		if _, err := os.Lstat(file); err == nil {
			return fault.Conflict("move it away first; --cfg FILE names another", "%s is there already", file)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	probe, err := os.CreateTemp(dir, ".hostler-*")
	if err != nil {
		return err
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	if web.Token == "" {
		if web.Token, err = s.App.ReadToken(); err != nil {
			return err
		}
	}
	pair, err := web.Person(ctx)
	if err != nil {
		return enrolError(err)
	}
	file := configure.Client{Master: master, CA: ca, Cert: v.Certificate, Key: v.Key}
	for _, file := range []struct{ path, text string }{{v.Key, pair.Key}, {v.Certificate, pair.Certificate}, {v.Config, file.Text()}} {
		if err := configure.WriteNew(file.path, file.text); err != nil {
			return err
		}
	}
	s.Log.Say("%s is written, with the certificate %s and its key %s.", v.Config, v.Certificate, v.Key)
	if s.App.JSON {
		return s.App.PrintJSON(v)
	}
	return nil
}
