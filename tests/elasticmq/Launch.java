import org.elasticmq.rest.sqs.SQSRestServerBuilder;

/** ElasticMQ on a port of the loopback interface, until it is killed. */
class Launch {
    public static void main(String[] arguments) {
        SQSRestServerBuilder
            .withInterface("127.0.0.1")
            .withPort(Integer.parseInt(arguments[0]))
            .withAWSAccountId("123456789012")
            .withAWSRegion("us-east-1")
            .start()
            .waitUntilStarted();
    }
}
