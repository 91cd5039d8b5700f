package main

import (
	"context"
	"errors"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type request struct {
	Name string `json:"name"`
}

type answer struct {
	Greeting  string `json:"greeting"`
	RequestID string `json:"request_id"`
	Function  string `json:"function"`
}

func handle(ctx context.Context, event request) (answer, error) {
	if event.Name == "" {
		return answer{}, errors.New("nobody to greet")
	}
	call, _ := lambdacontext.FromContext(ctx)
	return answer{"hello " + event.Name, call.AwsRequestID, lambdacontext.FunctionName}, nil
}

func main() {
	lambda.Start(handle)
}
