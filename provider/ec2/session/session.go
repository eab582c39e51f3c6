package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/hostler-project/hostler/compute"
)

// Within is the time limit of one try of a call. Launching takes seconds.
const Within = 30 * time.Second

// Options say which EC2 is used, and for which source.
type Options struct {
	Region   string // "": the SDK's default
	Endpoint string // "": Amazon's
	Profile  string // in the shared files; "": AWS_PROFILE, or the default one
	Metadata string // the address of the metadata service; "": the SDK's; none: it is not asked

	Attempts int           // tries of one call, with the first
	Poll     time.Duration // how often instances are listed while a call waits

	Source       string // the source that makes the calls
	Installation string // a mark of everything that is made
}

// Session speaks to the EC2 of a region. Any number of goroutines may use it.
type Session struct {
	Options
	Log *slog.Logger
	// told of each step before it is done; an error ends the call as a kill would. nil except in
	// tests
	Step func(string) error

	mu     sync.Mutex
	client *Calls
	region string // of the client

	credentials aws.CredentialsProvider
}

// New returns a session. It calls nothing.
func New(log *slog.Logger, o Options) *Session { return &Session{Options: o, Log: log} }

// At reports to Step that a step begins.
func (s *Session) At(step string) error {
	if s.Step == nil {
		return nil
	}
	return s.Step(step)
}

// Place returns the region and the credentials of the client. Both are known after a call of API.
func (s *Session) Place() (region string, credentials aws.CredentialsProvider) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.region, s.credentials
}

// Amazon reports whether this is Amazon's own service.
func (s *Session) Amazon() bool {
	if s.Endpoint == "" {
		return true
	}
	u, err := url.Parse(s.Endpoint)
	return err == nil &&
		(strings.HasSuffix(u.Hostname(), ".amazonaws.com") || strings.HasSuffix(u.Hostname(), ".amazonaws.com.cn") ||
			strings.HasSuffix(u.Hostname(), ".api.aws"))
}

// Pause waits for d, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// API returns the client. It is made at the first use, as most commands need none.
func (s *Session) API(ctx context.Context) (*Calls, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(Within)),
		// by default it logs to standard error
		config.WithLogger(logging.LoggerFunc(func(_ logging.Classification, format string, v ...any) {
			s.Log.Debug("sdk: "+fmt.Sprintf(format, v...), "source", s.Source)
		})),
		config.WithRetryer(func() aws.Retryer { return retryer(s.Attempts) }),
	}
	if s.Region != "" {
		load = append(load, config.WithRegion(s.Region))
	}
	if s.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(s.Profile))
	}
	// this reads files; credentials are fetched when a call needs them
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		var none config.SharedConfigProfileNotExistError
		if errors.As(err, &none) {
			return nil, &compute.Error{
				Op: "ec2.Open", ID: compute.ID(s.Source), Kind: compute.ErrInvalid, Err: err,
				Hint: "aws configure list-profiles names those that there are",
			}
		}
		return nil, &compute.Error{Op: "ec2.Open", ID: compute.ID(s.Source), Kind: compute.ErrInvalid, Err: err}
	}
	if cfg.Region == "" {
		return nil, &compute.Error{
			Op: "ec2.Open", ID: compute.ID(s.Source), Kind: compute.ErrInvalid, Err: errors.New("no region is named"),
			Hint: "set region in the source, AWS_REGION, or region in the profile",
		}
	}
	s.region, s.credentials = cfg.Region, cfg.Credentials
	s.client = callsOf(ec2.NewFromConfig(cfg, func(o *ec2.Options) {
		if s.Endpoint != "" {
			o.BaseEndpoint = aws.String(s.Endpoint)
		}
	}))
	return s.client, nil
}

// retryer is the SDK's, which slows down when asked. Missing capacity is not retried at once, as
// there are other places.
func retryer(attempts int) aws.Retryer {
	full := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
		var e smithy.APIError
		if errors.As(err, &e) && slices.Contains([]Reason{NoHardware, Quota}, ReasonOfCode(e.ErrorCode(), false)) {
			return aws.FalseTernary
		}
		return aws.UnknownTernary
	})
	return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
		o.StandardOptions = append(o.StandardOptions, func(o *retry.StandardOptions) {
			o.MaxAttempts = attempts
			o.Retryables = append([]retry.IsErrorRetryable{full}, o.Retryables...)
		})
	})
}
