"""Every operation of Lambda that is built, by its name in the service model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.lambda_api import (
    account,
    concurrency,
    event_invoke_config,
    event_source_mappings,
    function_urls,
    functions,
    layer_permissions,
    layers,
    permissions,
    provisioned_concurrency,
    recursion,
    tags,
    versions_and_aliases,
)
from gateway.lambda_api.context import Context

Operation = Callable[[Context, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Takes validated parameters by member name, gives the output's members; raises ApiError, BrokerError."""

OPERATIONS: Mapping[str, Operation] = {
    "AddLayerVersionPermission": layer_permissions.add_layer_version_permission,
    "AddPermission": permissions.add_permission,
    "CreateAlias": versions_and_aliases.create_alias,
    "CreateEventSourceMapping": event_source_mappings.create_event_source_mapping,
    "CreateFunction": functions.create_function,
    "CreateFunctionUrlConfig": function_urls.create_function_url_config,
    "DeleteAlias": versions_and_aliases.delete_alias,
    "DeleteEventSourceMapping": event_source_mappings.delete_event_source_mapping,
    "DeleteFunction": functions.delete_function,
    "DeleteFunctionConcurrency": concurrency.delete_function_concurrency,
    "DeleteFunctionEventInvokeConfig": event_invoke_config.delete_function_event_invoke_config,
    "DeleteFunctionUrlConfig": function_urls.delete_function_url_config,
    "DeleteLayerVersion": layers.delete_layer_version,
    "DeleteProvisionedConcurrencyConfig": provisioned_concurrency.delete_provisioned_concurrency_config,
    "GetAccountSettings": account.get_account_settings,
    "GetAlias": versions_and_aliases.get_alias,
    "GetEventSourceMapping": event_source_mappings.get_event_source_mapping,
    "GetFunction": functions.get_function,
    "GetFunctionConcurrency": concurrency.get_function_concurrency,
    "GetFunctionConfiguration": functions.get_function_configuration,
    "GetFunctionEventInvokeConfig": event_invoke_config.get_function_event_invoke_config,
    "GetFunctionRecursionConfig": recursion.get_function_recursion_config,
    "GetFunctionUrlConfig": function_urls.get_function_url_config,
    "GetLayerVersion": layers.get_layer_version,
    "GetLayerVersionByArn": layers.get_layer_version_by_arn,
    "GetLayerVersionPolicy": layer_permissions.get_layer_version_policy,
    "GetPolicy": permissions.get_policy,
    "GetProvisionedConcurrencyConfig": provisioned_concurrency.get_provisioned_concurrency_config,
    "ListAliases": versions_and_aliases.list_aliases,
    "ListEventSourceMappings": event_source_mappings.list_event_source_mappings,
    "ListFunctionEventInvokeConfigs": event_invoke_config.list_function_event_invoke_configs,
    "ListFunctionUrlConfigs": function_urls.list_function_url_configs,
    "ListFunctions": functions.list_functions,
    "ListLayerVersions": layers.list_layer_versions,
    "ListLayers": layers.list_layers,
    "ListProvisionedConcurrencyConfigs": provisioned_concurrency.list_provisioned_concurrency_configs,
    "ListTags": tags.list_tags,
    "ListVersionsByFunction": versions_and_aliases.list_versions_by_function,
    "PublishLayerVersion": layers.publish_layer_version,
    "PublishVersion": versions_and_aliases.publish_version,
    "PutFunctionConcurrency": concurrency.put_function_concurrency,
    "PutFunctionEventInvokeConfig": event_invoke_config.put_function_event_invoke_config,
    "PutFunctionRecursionConfig": recursion.put_function_recursion_config,
    "PutProvisionedConcurrencyConfig": provisioned_concurrency.put_provisioned_concurrency_config,
    "RemoveLayerVersionPermission": layer_permissions.remove_layer_version_permission,
    "RemovePermission": permissions.remove_permission,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "UpdateAlias": versions_and_aliases.update_alias,
    "UpdateEventSourceMapping": event_source_mappings.update_event_source_mapping,
    "UpdateFunctionCode": functions.update_function_code,
    "UpdateFunctionConfiguration": functions.update_function_configuration,
    "UpdateFunctionEventInvokeConfig": event_invoke_config.update_function_event_invoke_config,
    "UpdateFunctionUrlConfig": function_urls.update_function_url_config,
}
