package session

import (
	"context"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// call is an operation of EC2.
type call[I, O any] func(context.Context, *I, ...func(*ec2.Options)) (*O, error)

// Calls are the operations that hostler uses, by subject. They stand in for the SDK's client. If an
// interface could reach that, the linker would keep all its 700 operations, 40 MB, as reflection
// might call any of them.
type Calls struct {
	Instances instanceCalls
	Spot      spotCalls
	Images    imageCalls
	Volumes   volumeCalls
	Groups    groupCalls
	Keys      keyCalls
	Region    regionCalls
}

// instanceCalls are the operations on instances.
type instanceCalls struct {
	Run       call[ec2.RunInstancesInput, ec2.RunInstancesOutput]
	Start     call[ec2.StartInstancesInput, ec2.StartInstancesOutput]
	Stop      call[ec2.StopInstancesInput, ec2.StopInstancesOutput]
	Terminate call[ec2.TerminateInstancesInput, ec2.TerminateInstancesOutput]
	Describe  call[ec2.DescribeInstancesInput, ec2.DescribeInstancesOutput]
	Status    call[ec2.DescribeInstanceStatusInput, ec2.DescribeInstanceStatusOutput]
	Console   call[ec2.GetConsoleOutputInput, ec2.GetConsoleOutputOutput]
}

// spotCalls are the operations on spot requests and prices.
type spotCalls struct {
	Cancel   call[ec2.CancelSpotInstanceRequestsInput, ec2.CancelSpotInstanceRequestsOutput]
	Requests call[ec2.DescribeSpotInstanceRequestsInput, ec2.DescribeSpotInstanceRequestsOutput]
	Prices   call[ec2.DescribeSpotPriceHistoryInput, ec2.DescribeSpotPriceHistoryOutput]
}

type imageCalls struct {
	Create         call[ec2.CreateImageInput, ec2.CreateImageOutput]
	Deregister     call[ec2.DeregisterImageInput, ec2.DeregisterImageOutput]
	Describe       call[ec2.DescribeImagesInput, ec2.DescribeImagesOutput]
	DeleteSnapshot call[ec2.DeleteSnapshotInput, ec2.DeleteSnapshotOutput]
}

type volumeCalls struct {
	Delete   call[ec2.DeleteVolumeInput, ec2.DeleteVolumeOutput]
	Describe call[ec2.DescribeVolumesInput, ec2.DescribeVolumesOutput]
}

type groupCalls struct {
	Create    call[ec2.CreateSecurityGroupInput, ec2.CreateSecurityGroupOutput]
	Delete    call[ec2.DeleteSecurityGroupInput, ec2.DeleteSecurityGroupOutput]
	Describe  call[ec2.DescribeSecurityGroupsInput, ec2.DescribeSecurityGroupsOutput]
	Authorize call[ec2.AuthorizeSecurityGroupIngressInput, ec2.AuthorizeSecurityGroupIngressOutput]
	Revoke    call[ec2.RevokeSecurityGroupIngressInput, ec2.RevokeSecurityGroupIngressOutput]
}

type keyCalls struct {
	Import   call[ec2.ImportKeyPairInput, ec2.ImportKeyPairOutput]
	Delete   call[ec2.DeleteKeyPairInput, ec2.DeleteKeyPairOutput]
	Describe call[ec2.DescribeKeyPairsInput, ec2.DescribeKeyPairsOutput]
}

type regionCalls struct {
	Attributes call[ec2.DescribeAccountAttributesInput, ec2.DescribeAccountAttributesOutput]
	Zones      call[ec2.DescribeAvailabilityZonesInput, ec2.DescribeAvailabilityZonesOutput]
	Subnets    call[ec2.DescribeSubnetsInput, ec2.DescribeSubnetsOutput]
	Types      call[ec2.DescribeInstanceTypesInput, ec2.DescribeInstanceTypesOutput]
}

// callsOf takes the operations out of the SDK's client.
func callsOf(c *ec2.Client) *Calls {
	return &Calls{
		Instances: instanceCalls{
			c.RunInstances, c.StartInstances, c.StopInstances, c.TerminateInstances, c.DescribeInstances,
			c.DescribeInstanceStatus, c.GetConsoleOutput,
		},
		Spot:    spotCalls{c.CancelSpotInstanceRequests, c.DescribeSpotInstanceRequests, c.DescribeSpotPriceHistory},
		Images:  imageCalls{c.CreateImage, c.DeregisterImage, c.DescribeImages, c.DeleteSnapshot},
		Volumes: volumeCalls{c.DeleteVolume, c.DescribeVolumes},
		Groups: groupCalls{
			c.CreateSecurityGroup, c.DeleteSecurityGroup, c.DescribeSecurityGroups, c.AuthorizeSecurityGroupIngress,
			c.RevokeSecurityGroupIngress,
		},
		Keys:   keyCalls{c.ImportKeyPair, c.DeleteKeyPair, c.DescribeKeyPairs},
		Region: regionCalls{c.DescribeAccountAttributes, c.DescribeAvailabilityZones, c.DescribeSubnets, c.DescribeInstanceTypes},
	}
}

// pages yields the entries of all pages of an answer. next returns where a request names its page.
// of returns the entries of an answer and the next page's token. An error is the last thing that it
// yields.
func pages[I, O, T any](
	ctx context.Context, ask call[I, O], in *I, next func(*I) **string, of func(*O) ([]T, *string),
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for in := *in; ; {
			out, err := ask(ctx, &in)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			all, token := of(out)
			for _, one := range all {
				if !yield(one, nil) {
					return
				}
			}
			if aws.ToString(token) == "" {
				return
			}
			*next(&in) = token
		}
	}
}

// All yields the instances that match the filters.
func (c instanceCalls) All(ctx context.Context, filters ...types.Filter) iter.Seq2[types.Instance, error] {
	return pages(
		ctx, c.Describe, &ec2.DescribeInstancesInput{Filters: filters, MaxResults: aws.Int32(1000)},
		func(in *ec2.DescribeInstancesInput) **string { return &in.NextToken },
		func(out *ec2.DescribeInstancesOutput) (all []types.Instance, _ *string) {
			for _, r := range out.Reservations {
				all = append(all, r.Instances...)
			}
			return all, out.NextToken
		},
	)
}

// All yields the images that match a request.
func (c imageCalls) All(ctx context.Context, in *ec2.DescribeImagesInput) iter.Seq2[types.Image, error] {
	return pages(
		ctx, c.Describe, in,
		func(in *ec2.DescribeImagesInput) **string { return &in.NextToken },
		func(out *ec2.DescribeImagesOutput) ([]types.Image, *string) { return out.Images, out.NextToken },
	)
}

// All yields the volumes that match the filters.
func (c volumeCalls) All(ctx context.Context, filters ...types.Filter) iter.Seq2[types.Volume, error] {
	return pages(
		ctx, c.Describe, &ec2.DescribeVolumesInput{Filters: filters},
		func(in *ec2.DescribeVolumesInput) **string { return &in.NextToken },
		func(out *ec2.DescribeVolumesOutput) ([]types.Volume, *string) { return out.Volumes, out.NextToken },
	)
}

// All yields the security groups that match the filters.
func (c groupCalls) All(ctx context.Context, filters ...types.Filter) iter.Seq2[types.SecurityGroup, error] {
	return pages(
		ctx, c.Describe, &ec2.DescribeSecurityGroupsInput{Filters: filters},
		func(in *ec2.DescribeSecurityGroupsInput) **string { return &in.NextToken },
		func(out *ec2.DescribeSecurityGroupsOutput) ([]types.SecurityGroup, *string) {
			return out.SecurityGroups, out.NextToken
		},
	)
}

// AllRequests yields the spot requests that match the filters.
func (c spotCalls) AllRequests(ctx context.Context, filters ...types.Filter) iter.Seq2[types.SpotInstanceRequest, error] {
	return pages(
		ctx, c.Requests, &ec2.DescribeSpotInstanceRequestsInput{Filters: filters},
		func(in *ec2.DescribeSpotInstanceRequestsInput) **string { return &in.NextToken },
		func(out *ec2.DescribeSpotInstanceRequestsOutput) ([]types.SpotInstanceRequest, *string) {
			return out.SpotInstanceRequests, out.NextToken
		},
	)
}

// AllPrices yields the spot prices that match a request.
func (c spotCalls) AllPrices(ctx context.Context, in *ec2.DescribeSpotPriceHistoryInput) iter.Seq2[types.SpotPrice, error] {
	return pages(
		ctx, c.Prices, in,
		func(in *ec2.DescribeSpotPriceHistoryInput) **string { return &in.NextToken },
		func(out *ec2.DescribeSpotPriceHistoryOutput) ([]types.SpotPrice, *string) {
			return out.SpotPriceHistory, out.NextToken
		},
	)
}

// AllTypes yields all types of instances.
func (c regionCalls) AllTypes(ctx context.Context) iter.Seq2[types.InstanceTypeInfo, error] {
	return pages(
		ctx, c.Types, &ec2.DescribeInstanceTypesInput{MaxResults: aws.Int32(100)},
		func(in *ec2.DescribeInstanceTypesInput) **string { return &in.NextToken },
		func(out *ec2.DescribeInstanceTypesOutput) ([]types.InstanceTypeInfo, *string) {
			return out.InstanceTypes, out.NextToken
		},
	)
}
