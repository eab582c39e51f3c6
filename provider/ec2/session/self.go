package session

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// OwnID asks the metadata service which instance this machine is. "": there is no answer.
func (s *Session) OwnID(ctx context.Context) string {
	if s.Metadata == "none" {
		return ""
	}
	const wait = time.Second
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and without a proxy
	o := imds.Options{HTTPClient: web, Retryer: aws.NopRetryer{}, Endpoint: s.Metadata}
	if s.Metadata != "" {
		o.ClientEnableState = imds.ClientEnabled
	}
	out, err := imds.New(o).GetInstanceIdentityDocument(ctx, &imds.GetInstanceIdentityDocumentInput{})
	if err != nil {
		s.Log.Debug("no metadata service says that this is an instance of EC2", "source", s.Source, "err", err)
		return ""
	}
	return out.InstanceID
}
