package ec2

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/hostler-project/hostler/provider/ec2/session"
)

// quotaPage is an answer of Service Quotas, or its error.
type quotaPage struct {
	Quotas []struct {
		Value       float64
		UsageMetric struct {
			MetricDimensions struct{ Class, Resource, Service string }
		}
	}
	NextToken string

	Type     string `json:"__type"`
	Message  string
	Message2 string `json:"message"`
}

// serviceQuotas returns EC2's quotas. It reads one page after the other.
func (q *quotas) serviceQuotas(ctx context.Context) (out []Limit, err error) {
	if _, err := q.session.API(ctx); err != nil {
		return nil, err
	}
	for token := ""; ; {
		page, err := q.quotaPage(ctx, token)
		if err != nil {
			return nil, err
		}
		for _, one := range page.Quotas {
			if d := one.UsageMetric.MetricDimensions; d.Service == "EC2" && d.Resource == "vCPU" && d.Class != "" {
				out = append(out, Limit{Class: d.Class, Max: int(one.Value)})
			}
		}
		if page.NextToken == "" || page.NextToken == token {
			slices.SortFunc(out, func(a, b Limit) int { return strings.Compare(a.Class, b.Class) })
			return out, nil
		}
		token = page.NextToken
	}
}

// quotaPage reads one page. It retries while the service throttles.
func (q *quotas) quotaPage(ctx context.Context, token string) (page quotaPage, err error) {
	var skew time.Duration // how far the service's clock is ahead of ours
	for try := 1; ; try++ {
		var f *session.Fault
		var now time.Time
		if page, now, err = q.requestQuotas(ctx, token, skew); err == nil || !errors.As(err, &f) || try >= q.session.Attempts {
			return page, err
		}
		switch ahead := time.Until(now); {
		case f.Reason == session.RateLimited || f.Reason == session.Down:
			if err := session.Pause(ctx, q.o.Poll); err != nil {
				return page, err
			}
		case f.Reason == session.Denied && skew == 0 && !now.IsZero() && ahead.Abs() > time.Minute:
			skew = ahead
		default:
			return page, err
		}
	}
}

// requestQuotas sends one request. now is the time that the answer has.
func (q *quotas) requestQuotas(ctx context.Context, token string, skew time.Duration) (page quotaPage, now time.Time, err error) {
	region, from := q.session.Place()
	in := map[string]any{"ServiceCode": "ec2", "MaxResults": 100}
	if token != "" {
		in["NextToken"] = token
	}
	body, err := json.Marshal(in)
	if err != nil {
		return page, now, err
	}
	ctx, cancel := context.WithTimeout(ctx, session.Within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, q.endpoint(region), bytes.NewReader(body))
	if err != nil {
		return page, now, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "ServiceQuotasV20190624.ListServiceQuotas")
	if from == nil {
		return page, now, &session.Fault{Reason: session.Denied, Message: "there are no credentials"}
	}
	who, err := from.Retrieve(ctx)
	if err != nil {
		return page, now, &session.Fault{
			Reason:  session.Denied,
			Message: "there are no credentials that could be used: none were found, or they could not be renewed",
		}
	}
	if err := v4.NewSigner().SignHTTP(
		ctx, who, req, fmt.Sprintf("%x", sha256.Sum256(body)), "servicequotas", region, time.Now().Add(skew),
	); err != nil {
		return page, now, err
	}
	client := http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return page, now, err
	}
	defer func() { _ = resp.Body.Close() }()
	now, _ = http.ParseTime(resp.Header.Get("Date")) // without the header our clock counts as right
	const most = 4 << 20
	data, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return page, now, err
	}
	wrong := json.Unmarshal(data, &page)
	if resp.StatusCode == http.StatusOK && wrong == nil {
		return page, now, nil
	}
	_, code, found := strings.Cut(page.Type, "#")
	if !found {
		code = page.Type
	}
	f := &session.Fault{Code: code, Message: session.Sentence(cmp.Or(page.Message, page.Message2, resp.Status))}
	switch f.Reason = session.ReasonOfCode(code, resp.StatusCode >= 500); {
	case f.Reason != session.Unknown:
	case resp.StatusCode == http.StatusTooManyRequests:
		f.Reason = session.RateLimited
	case resp.StatusCode == http.StatusForbidden, resp.StatusCode == http.StatusUnauthorized:
		f.Reason = session.Denied
	default:
		f.Reason = session.BadRequest // there is no such service
	}
	return page, now, f
}

// endpoint returns the address of Service Quotas: Amazon's, or the endpoint of another service.
func (q *quotas) endpoint(region string) string {
	if !q.session.Amazon() {
		return q.o.Endpoint
	}
	domain := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain = "amazonaws.com.cn"
	}
	return "https://servicequotas." + region + "." + domain + "/"
}
