package ec2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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

// answerWithin is how long one attempt of a call may take. Launching takes seconds.
const answerWithin = 30 * time.Second

// api is the client, made at its first use: nothing is read before, as most commands need none.
func (p *Provider) api(ctx context.Context) (*calls, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client != nil {
		return p.client, nil
	}
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(answerWithin)),
		// its own writes to standard error
		config.WithLogger(logging.LoggerFunc(func(_ logging.Classification, format string, v ...any) {
			p.log.Debug("sdk: "+fmt.Sprintf(format, v...), "source", p.o.Source)
		})),
		config.WithRetryer(func() aws.Retryer { return retryer(cmp.Or(p.o.Attempts, 5)) }),
	}
	if p.o.Region != "" {
		load = append(load, config.WithRegion(p.o.Region))
	}
	if p.o.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(p.o.Profile))
	}
	// reads files; credentials are got when a call needs them
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		var none config.SharedConfigProfileNotExistError
		if errors.As(err, &none) {
			return nil, &compute.Error{
				Op: "ec2.Open", ID: compute.ID(p.o.Source), Kind: compute.ErrInvalid, Err: err,
				Hint: "aws configure list-profiles names those that there are",
			}
		}
		return nil, &compute.Error{Op: "ec2.Open", ID: compute.ID(p.o.Source), Kind: compute.ErrInvalid, Err: err}
	}
	if cfg.Region == "" {
		return nil, &compute.Error{
			Op: "ec2.Open", ID: compute.ID(p.o.Source), Kind: compute.ErrInvalid, Err: errors.New("no region is named"),
			Hint: "set region in the source, AWS_REGION, or region in the profile",
		}
	}
	p.region, p.credentials = cfg.Region, cfg.Credentials
	p.client = callsOf(ec2.NewFromConfig(cfg, func(o *ec2.Options) {
		if p.o.Endpoint != "" {
			o.BaseEndpoint = aws.String(p.o.Endpoint)
		}
	}))
	return p.client, nil
}

// retryer is the SDK's, which slows down when it is asked to. What says that there is no capacity
// is not tried again at once: there are other places.
func retryer(attempts int) aws.Retryer {
	full := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
		var e smithy.APIError
		if errors.As(err, &e) && slices.Contains([]Reason{NoHardware, Quota}, reason(e.ErrorCode(), false)) {
			return aws.FalseTernary
		}
		return aws.UnknownTernary
	})
	return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
		o.StandardOptions = append(o.StandardOptions, func(s *retry.StandardOptions) {
			s.MaxAttempts = attempts
			s.Retryables = append([]retry.IsErrorRetryable{full}, s.Retryables...)
		})
	})
}
