package ec2

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// call is an operation of EC2's.
type call[I, O any] func(context.Context, *I, ...func(*ec2.Options)) (*O, error)

// calls are the operations that are used here. They stand for the SDK's client: that one, once it
// can be reached from what an interface holds, is linked with all its 700 operations, as nobody can
// tell which of them reflection calls, and they are 40 MB.
type calls struct {
	authorizeSecurityGroupIngress call[ec2.AuthorizeSecurityGroupIngressInput, ec2.AuthorizeSecurityGroupIngressOutput]
	cancelSpotInstanceRequests    call[ec2.CancelSpotInstanceRequestsInput, ec2.CancelSpotInstanceRequestsOutput]
	createImage                   call[ec2.CreateImageInput, ec2.CreateImageOutput]
	createSecurityGroup           call[ec2.CreateSecurityGroupInput, ec2.CreateSecurityGroupOutput]
	deleteKeyPair                 call[ec2.DeleteKeyPairInput, ec2.DeleteKeyPairOutput]
	deleteSecurityGroup           call[ec2.DeleteSecurityGroupInput, ec2.DeleteSecurityGroupOutput]
	deleteSnapshot                call[ec2.DeleteSnapshotInput, ec2.DeleteSnapshotOutput]
	deleteVolume                  call[ec2.DeleteVolumeInput, ec2.DeleteVolumeOutput]
	deregisterImage               call[ec2.DeregisterImageInput, ec2.DeregisterImageOutput]
	describeAccountAttributes     call[ec2.DescribeAccountAttributesInput, ec2.DescribeAccountAttributesOutput]
	describeAvailabilityZones     call[ec2.DescribeAvailabilityZonesInput, ec2.DescribeAvailabilityZonesOutput]
	describeImages                call[ec2.DescribeImagesInput, ec2.DescribeImagesOutput]
	describeInstanceStatus        call[ec2.DescribeInstanceStatusInput, ec2.DescribeInstanceStatusOutput]
	describeInstanceTypes         call[ec2.DescribeInstanceTypesInput, ec2.DescribeInstanceTypesOutput]
	describeInstances             call[ec2.DescribeInstancesInput, ec2.DescribeInstancesOutput]
	describeKeyPairs              call[ec2.DescribeKeyPairsInput, ec2.DescribeKeyPairsOutput]
	describeSecurityGroups        call[ec2.DescribeSecurityGroupsInput, ec2.DescribeSecurityGroupsOutput]
	describeSpotInstanceRequests  call[ec2.DescribeSpotInstanceRequestsInput, ec2.DescribeSpotInstanceRequestsOutput]
	describeSpotPriceHistory      call[ec2.DescribeSpotPriceHistoryInput, ec2.DescribeSpotPriceHistoryOutput]
	describeSubnets               call[ec2.DescribeSubnetsInput, ec2.DescribeSubnetsOutput]
	describeVolumes               call[ec2.DescribeVolumesInput, ec2.DescribeVolumesOutput]
	getConsoleOutput              call[ec2.GetConsoleOutputInput, ec2.GetConsoleOutputOutput]
	importKeyPair                 call[ec2.ImportKeyPairInput, ec2.ImportKeyPairOutput]
	revokeSecurityGroupIngress    call[ec2.RevokeSecurityGroupIngressInput, ec2.RevokeSecurityGroupIngressOutput]
	runInstances                  call[ec2.RunInstancesInput, ec2.RunInstancesOutput]
	startInstances                call[ec2.StartInstancesInput, ec2.StartInstancesOutput]
	stopInstances                 call[ec2.StopInstancesInput, ec2.StopInstancesOutput]
	terminateInstances            call[ec2.TerminateInstancesInput, ec2.TerminateInstancesOutput]
}

func callsOf(c *ec2.Client) *calls {
	return &calls{
		authorizeSecurityGroupIngress: c.AuthorizeSecurityGroupIngress,
		cancelSpotInstanceRequests:    c.CancelSpotInstanceRequests,
		createImage:                   c.CreateImage,
		createSecurityGroup:           c.CreateSecurityGroup,
		deleteKeyPair:                 c.DeleteKeyPair,
		deleteSecurityGroup:           c.DeleteSecurityGroup,
		deleteSnapshot:                c.DeleteSnapshot,
		deleteVolume:                  c.DeleteVolume,
		deregisterImage:               c.DeregisterImage,
		describeAccountAttributes:     c.DescribeAccountAttributes,
		describeAvailabilityZones:     c.DescribeAvailabilityZones,
		describeImages:                c.DescribeImages,
		describeInstanceStatus:        c.DescribeInstanceStatus,
		describeInstanceTypes:         c.DescribeInstanceTypes,
		describeInstances:             c.DescribeInstances,
		describeKeyPairs:              c.DescribeKeyPairs,
		describeSecurityGroups:        c.DescribeSecurityGroups,
		describeSpotInstanceRequests:  c.DescribeSpotInstanceRequests,
		describeSpotPriceHistory:      c.DescribeSpotPriceHistory,
		describeSubnets:               c.DescribeSubnets,
		describeVolumes:               c.DescribeVolumes,
		getConsoleOutput:              c.GetConsoleOutput,
		importKeyPair:                 c.ImportKeyPair,
		revokeSecurityGroupIngress:    c.RevokeSecurityGroupIngress,
		runInstances:                  c.RunInstances,
		startInstances:                c.StartInstances,
		stopInstances:                 c.StopInstances,
		terminateInstances:            c.TerminateInstances,
	}
}

// The SDK turns pages for whoever has a method of the operation's name.
type (
	describeImagesPages               call[ec2.DescribeImagesInput, ec2.DescribeImagesOutput]
	describeInstanceTypesPages        call[ec2.DescribeInstanceTypesInput, ec2.DescribeInstanceTypesOutput]
	describeInstancesPages            call[ec2.DescribeInstancesInput, ec2.DescribeInstancesOutput]
	describeSpotInstanceRequestsPages call[ec2.DescribeSpotInstanceRequestsInput, ec2.DescribeSpotInstanceRequestsOutput]
	describeSecurityGroupsPages       call[ec2.DescribeSecurityGroupsInput, ec2.DescribeSecurityGroupsOutput]
	describeSpotPriceHistoryPages     call[ec2.DescribeSpotPriceHistoryInput, ec2.DescribeSpotPriceHistoryOutput]
	describeVolumesPages              call[ec2.DescribeVolumesInput, ec2.DescribeVolumesOutput]
)

func (f describeImagesPages) DescribeImages(
	ctx context.Context, in *ec2.DescribeImagesInput, opt ...func(*ec2.Options),
) (*ec2.DescribeImagesOutput, error) {
	return f(ctx, in, opt...)
}

func (f describeInstanceTypesPages) DescribeInstanceTypes(
	ctx context.Context, in *ec2.DescribeInstanceTypesInput, opt ...func(*ec2.Options),
) (*ec2.DescribeInstanceTypesOutput, error) {
	return f(ctx, in, opt...)
}

func (f describeInstancesPages) DescribeInstances(
	ctx context.Context, in *ec2.DescribeInstancesInput, opt ...func(*ec2.Options),
) (*ec2.DescribeInstancesOutput, error) {
	return f(ctx, in, opt...)
}

func (f describeSpotInstanceRequestsPages) DescribeSpotInstanceRequests(
	ctx context.Context, in *ec2.DescribeSpotInstanceRequestsInput, opt ...func(*ec2.Options),
) (*ec2.DescribeSpotInstanceRequestsOutput, error) {
	return f(ctx, in, opt...)
}

func (f describeVolumesPages) DescribeVolumes(
	ctx context.Context, in *ec2.DescribeVolumesInput, opt ...func(*ec2.Options),
) (*ec2.DescribeVolumesOutput, error) {
	return f(ctx, in, opt...)
}

func (f describeSecurityGroupsPages) DescribeSecurityGroups(
	ctx context.Context, in *ec2.DescribeSecurityGroupsInput, opt ...func(*ec2.Options),
) (*ec2.DescribeSecurityGroupsOutput, error) {
	return f(ctx, in, opt...)
}

func (f describeSpotPriceHistoryPages) DescribeSpotPriceHistory(
	ctx context.Context, in *ec2.DescribeSpotPriceHistoryInput, opt ...func(*ec2.Options),
) (*ec2.DescribeSpotPriceHistoryOutput, error) {
	return f(ctx, in, opt...)
}
